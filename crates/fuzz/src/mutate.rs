//! Inputs that are nearly right: samples, changed in a few places.

use core::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bolero::{Driver, ValueGenerator};

use crate::Made;
use crate::wire::{Field, Value, fields, write_fields};

/// No input gets longer than this.
const LONGEST: usize = 256 << 10;

/// Makes inputs for a target.
#[derive(Debug, Clone)]
pub struct Inputs {
    pub(crate) pool: Arc<Mutex<Vec<Vec<u8>>>>,
    pub(crate) words: &'static [&'static str],
    pub(crate) is_protobuf: bool,
    pub(crate) repair: Option<fn(&mut Vec<u8>)>,
    pub(crate) made: Option<Made>,
}

/// An input, printed as text as far as it is one.
pub struct Input(pub(crate) Vec<u8>);

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.0[..self.0.len().min(2_000)];
        write!(f, "{} bytes: b\"{}\"", self.0.len(), shown.escape_ascii())
    }
}

impl ValueGenerator for Inputs {
    type Output = Input;

    fn generate<D: Driver>(&self, driver: &mut D) -> Option<Input> {
        let mut dice = Dice(driver);
        let mut input = match self.made {
            Some(made) if !dice.one_in(4)? => {
                let input = made(&mut |end| dice.below(end).unwrap_or_default());
                if !dice.one_in(3)? {
                    return Some(Input(input));
                }
                input
            }
            _ => self.picked(&mut dice)?,
        };
        // Mostly a change or two; now and then many.
        let changes = if dice.one_in(8)? { dice.below(24)? } else { 1 + dice.below(3)? };
        for _ in 0..changes {
            if self.is_protobuf && !dice.one_in(6)? {
                self.change_message(&mut input, &mut dice)?;
            } else {
                self.change_bytes(&mut input, &mut dice)?;
            }
        }
        input.truncate(LONGEST);
        if let Some(repair) = self.repair
            && !dice.one_in(5)?
        {
            repair(&mut input);
        }
        Some(Input(input))
    }
}

/// What the driver throws.
struct Dice<'d, D>(&'d mut D);

impl<D: Driver> Dice<'_, D> {
    fn number(&mut self) -> Option<u64> {
        self.0.produce()
    }

    /// A number below `end`; 0 if that is 0.
    fn below(&mut self, end: usize) -> Option<usize> {
        let number: u32 = self.0.produce()?;
        Some(if end == 0 { 0 } else { number as usize % end })
    }

    fn one_in(&mut self, many: usize) -> Option<bool> {
        Some(self.below(many)? == 0)
    }

    fn of<'a, T: ?Sized>(&mut self, these: &'a [&'a T]) -> Option<&'a T> {
        Some(these[self.below(these.len())?])
    }

    /// A part of so many bytes, of 1 to `most` if there are as many.
    fn part(&mut self, of: usize, most: usize) -> Option<Range<usize>> {
        let start = self.below(of)?;
        let length = (1 + self.below(most)?).min(of - start);
        Some(start..start + length)
    }

    fn bytes(&mut self, most: usize) -> Option<Vec<u8>> {
        let length = 1 + self.below(most)?;
        (0..length).map(|_| self.0.produce::<u8>()).collect()
    }

    /// A number at an edge of something.
    fn edge(&mut self, length: usize) -> Option<u64> {
        let length = length as u64;
        let edges = [
            0,
            1,
            2,
            length,
            length.wrapping_sub(1),
            length + 1,
            127,
            128,
            255,
            256,
            u16::MAX.into(),
            1 << 16,
            i32::MAX as u64,
            1 << 31,
            u32::MAX.into(),
            1 << 32,
            i64::MAX as u64,
            1 << 63,
            u64::MAX - 1,
            u64::MAX,
        ];
        let picked = self.below(edges.len() + 2)?;
        match edges.get(picked) {
            Some(edge) => Some(*edge),
            None => self.number(),
        }
    }
}

const ODD: [&str; 24] = [
    "",
    "0",
    "-0",
    "+1",
    "-1",
    "1e9",
    "0.0",
    "0.001",
    "99999999999999999999",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551616",
    "NaN",
    "\0",
    "\r\n",
    "\u{feff}",
    "\u{2014} ",
    "\"",
    "'",
    "../..",
    "%00",
    "\u{202e}",
    "é\u{301}",
    "٣",
];

impl Inputs {
    fn picked<D: Driver>(&self, dice: &mut Dice<'_, D>) -> Option<Vec<u8>> {
        let pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        let picked = dice.below(pool.len())?;
        Some(pool[picked].clone())
    }

    fn change_bytes<D: Driver>(&self, input: &mut Vec<u8>, dice: &mut Dice<'_, D>) -> Option<()> {
        let length = input.len();
        match dice.below(if length == 0 { 2 } else { 16 })? {
            0 => {
                let at = dice.below(length + 1)?;
                let new = self.word(dice)?;
                input.splice(at..at, new);
            }
            1 => {
                // The beginning of one and the end of another.
                let other = self.picked(dice)?;
                input.truncate(dice.below(length + 1)?);
                input.extend_from_slice(&other[dice.below(other.len() + 1)?..]);
            }
            2 => input[dice.below(length)?] ^= 1 << dice.below(8)?,
            3 => {
                input[dice.below(length)?] =
                    *dice.of(&[&0, &1, &0x7f, &0x80, &0xff, &b'\n', &b' '])?;
            }
            4 => {
                let at = dice.below(length)?;
                input[at] = input[at].wrapping_add(dice.0.produce::<i8>()?.cast_unsigned());
            }
            5 => input.truncate(dice.below(length)?),
            6 => input.extend(dice.bytes(40)?),
            7 => drop(input.drain(dice.part(length, 64)?)),
            8 => {
                let part = dice.part(length, 600)?;
                let again = input[part.clone()].to_vec();
                let times = if dice.one_in(10)? { dice.below(400)? } else { 1 };
                if length + again.len() * times < LONGEST {
                    input.splice(part.end..part.end, again.repeat(times));
                }
            }
            9 => {
                let part = dice.part(length, 32)?;
                let to = dice.below(length)?.min(length - part.len());
                input.copy_within(part, to);
            }
            10 => {
                // A length or a number, in either order of bytes.
                let width = *dice.of(&[&2, &4, &8])?;
                let number = dice.edge(length)?;
                let bytes = if dice.one_in(2)? {
                    number.to_le_bytes()[..width].to_vec()
                } else {
                    number.to_be_bytes()[8 - width..].to_vec()
                };
                let at = dice.below(length)?;
                let end = (at + width).min(length);
                input[at..end].copy_from_slice(&bytes[..end - at]);
            }
            11 => {
                let part = dice.part(length, 64)?;
                input[part].fill(0);
            }
            12 => {
                let part = dice.part(length, 24)?;
                let new = self.word(dice)?;
                input.splice(part, new);
            }
            13 => change_digits(input, dice)?,
            _ => self.change_lines(input, dice)?,
        }
        Some(())
    }

    fn word<D: Driver>(&self, dice: &mut Dice<'_, D>) -> Option<Vec<u8>> {
        Some(match dice.below(4)? {
            0 => dice.bytes(12)?,
            1 => dice.of(&ODD)?.into(),
            2 if dice.one_in(6)? => b"x".repeat(dice.below(70_000)?),
            _ if self.words.is_empty() => dice.edge(0)?.to_string().into_bytes(),
            _ => dice.of(self.words)?.into(),
        })
    }

    fn change_lines<D: Driver>(&self, input: &mut Vec<u8>, dice: &mut Dice<'_, D>) -> Option<()> {
        let mut lines: Vec<Vec<u8>> =
            input.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        let at = dice.below(lines.len())?;
        let other = dice.below(lines.len())?;
        match dice.below(4)? {
            0 => drop(lines.remove(at)),
            1 => lines.swap(at, other),
            2 => lines.insert(at, lines[other].clone()),
            _ => {
                let from = self.picked(dice)?;
                let from: Vec<&[u8]> = from.split_inclusive(|byte| *byte == b'\n').collect();
                if !from.is_empty() {
                    lines[at] = from[dice.below(from.len())?].to_vec();
                }
            }
        }
        *input = lines.concat();
        Some(())
    }

    fn change_message<D: Driver>(&self, input: &mut Vec<u8>, dice: &mut Dice<'_, D>) -> Option<()> {
        let Some(mut message) = fields(input) else { return self.change_bytes(input, dice) };
        self.change_fields(&mut message, dice, 8)?;
        input.clear();
        write_fields(&message, input);
        input.truncate(LONGEST);
        Some(())
    }

    fn change_fields<D: Driver>(
        &self,
        message: &mut Vec<Field>,
        dice: &mut Dice<'_, D>,
        deep: usize,
    ) -> Option<()> {
        let at = dice.below(message.len())?;
        if let Some(Field { value: Value::Message(inner), .. }) = message.get_mut(at)
            && deep > 0
            && !dice.one_in(4)?
        {
            return self.change_fields(inner, dice, deep - 1);
        }
        match dice.below(if message.is_empty() { 1 } else { 9 })? {
            0 => {
                let number = u32::try_from(1 + dice.below(40)?).expect("a small number");
                let value = match dice.below(5)? {
                    0 => Value::Fixed64(dice.number()?.to_le_bytes()),
                    1 => Value::Fixed32(dice.0.produce()?),
                    2 => Value::Bytes(self.word(dice)?),
                    _ => Value::Varint(dice.edge(0)?),
                };
                message.insert(at, Field { number, value });
            }
            1 => drop(message.remove(at)),
            2 => message.insert(at, message[at].clone()),
            3 => {
                let other = dice.below(message.len())?;
                message.swap(at, other);
            }
            4 => {
                message[at].number = if dice.one_in(20)? {
                    *dice.of(&[&15, &16, &2_047, &2_048, &((1 << 29) - 1)])?
                } else {
                    u32::try_from(1 + dice.below(40)?).expect("a small number")
                };
            }
            5 => {
                // A field, or all that it holds, of another message.
                let other = self.picked(dice)?;
                if let Some(other) = fields(&other)
                    && !other.is_empty()
                {
                    let from = dice.below(other.len())?;
                    if dice.one_in(2)? {
                        message[at].value = other[from].value.clone();
                    } else {
                        message.insert(at, other[from].clone());
                    }
                }
            }
            6 if dice.one_in(10)? => {
                let times = dice.below(300)?;
                let mut once = Vec::new();
                write_fields(&message[at..=at], &mut once);
                // Of repetitions of repetitions there is no end.
                if once.len() * times < LONGEST / 4 {
                    let again = vec![message[at].clone(); times];
                    message.splice(at..at, again);
                }
            }
            _ => match &mut message[at].value {
                Value::Varint(number) => {
                    *number = match dice.below(3)? {
                        0 => number.wrapping_add(dice.0.produce::<i8>()?.cast_unsigned().into()),
                        1 => number.wrapping_neg(),
                        _ => dice.edge(0)?,
                    };
                }
                Value::Fixed64(bytes) => *bytes = dice.edge(0)?.to_le_bytes(),
                Value::Fixed32(bytes) => *bytes = dice.0.produce()?,
                Value::Bytes(bytes) => {
                    let mut changed = core::mem::take(bytes);
                    self.change_bytes(&mut changed, dice)?;
                    *bytes = changed;
                }
                Value::Message(inner) => {
                    let mut bytes = Vec::new();
                    write_fields(inner, &mut bytes);
                    self.change_bytes(&mut bytes, dice)?;
                    message[at].value = Value::Bytes(bytes);
                }
            },
        }
        Some(())
    }
}

/// Puts another number where there is one in digits.
fn change_digits<D: Driver>(input: &mut Vec<u8>, dice: &mut Dice<'_, D>) -> Option<()> {
    let from = dice.below(input.len())?;
    let Some(start) = (from..input.len()).find(|at| input[*at].is_ascii_digit()) else {
        return Some(());
    };
    let end = (start..input.len()).find(|at| !input[*at].is_ascii_digit()).unwrap_or(input.len());
    let number = if dice.one_in(3)? {
        dice.below(10)?.to_string()
    } else {
        dice.edge(end - start)?.to_string()
    };
    input.splice(start..end, number.into_bytes());
    Some(())
}
