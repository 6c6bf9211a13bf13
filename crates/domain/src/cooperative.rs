//! The borrowers: one cooperative per village, its kind, its officers, and what makes it ready.

use core::fmt;
use core::str::FromStr;

/// The code of a village: province, regency, district and village, such as `36.03.01.2003`
/// (Kepmendagri 300.2.2-2138/2025).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VillageCode([u8; 10]);

/// Why a text is not the code of a village.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VillageCodeError {
    /// The text has not the form of a code.
    #[error("must have the form 36.03.01.2003: two, two, two and four digits")]
    Form,
    /// The first digit of the last group is none of the kinds of villages.
    #[error("the last group must begin with 1 (kelurahan), 2 (desa) or 3 (desa adat), not {found}")]
    Kind {
        /// The digit that was found.
        found: char,
    },
}

impl VillageCode {
    /// The ten digits, without the dots.
    pub const fn digits(&self) -> &[u8; 10] {
        &self.0
    }
    /// The kind of cooperative that a village of this code has.
    pub const fn cooperative_kind(self) -> CooperativeKind {
        match self.0[6] {
            b'1' => CooperativeKind::Kkmp,
            _ => CooperativeKind::Kdmp,
        }
    }
}

impl FromStr for VillageCode {
    type Err = VillageCodeError;
    fn from_str(text: &str) -> Result<VillageCode, VillageCodeError> {
        let bytes: &[u8; 13] = text.as_bytes().try_into().map_err(|_| VillageCodeError::Form)?;
        let mut digits = [0; 10];
        let mut filled = 0;
        for (i, byte) in bytes.iter().enumerate() {
            match (i, byte) {
                (2 | 5 | 8, b'.') => {}
                (2 | 5 | 8, _) => return Err(VillageCodeError::Form),
                (_, b'0'..=b'9') => {
                    digits[filled] = *byte;
                    filled += 1;
                }
                _ => return Err(VillageCodeError::Form),
            }
        }
        match digits[6] {
            b'1' | b'2' | b'3' => Ok(VillageCode(digits)),
            found => Err(VillageCodeError::Kind { found: char::from(found) }),
        }
    }
}

impl fmt::Display for VillageCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, digit) in self.0.iter().enumerate() {
            let dot = if matches!(i, 2 | 4 | 6) { "." } else { "" };
            write!(f, "{dot}{}", char::from(*digit))?;
        }
        Ok(())
    }
}

impl fmt::Debug for VillageCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The two kinds of cooperatives of the programme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CooperativeKind {
    /// Koperasi Desa Merah Putih: of a desa or a desa adat.
    Kdmp,
    /// Koperasi Kelurahan Merah Putih: of a kelurahan.
    Kkmp,
}

impl fmt::Display for CooperativeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CooperativeKind::Kdmp => "KDMP",
            CooperativeKind::Kkmp => "KKMP",
        })
    }
}

/// An office of a cooperative whose holder signs for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Office {
    /// Ketua.
    Chair,
    /// Bendahara.
    Treasurer,
}

impl fmt::Display for Office {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Office::Chair => "chair",
            Office::Treasurer => "treasurer",
        })
    }
}

/// What a cooperative must have before an account opens, as far as the fund's terms ask for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReadinessItem {
    /// Legal entity number (AHU).
    LegalEntity,
    /// Nomor Induk Koperasi.
    CooperativeNumber,
    /// Nomor Induk Berusaha, 13 digits.
    BusinessNumber,
    /// NPWP, 15 or 16 digits.
    TaxNumber,
    /// A bank account in the cooperative's own name.
    BankAccount,
    /// A business plan.
    BusinessPlan,
    /// Officers trained.
    OfficersTrained,
}

impl fmt::Display for ReadinessItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ReadinessItem::LegalEntity => "AHU (legal entity)",
            ReadinessItem::CooperativeNumber => "Nomor Induk Koperasi (cooperative number)",
            ReadinessItem::BusinessNumber => "NIB (business number)",
            ReadinessItem::TaxNumber => "NPWP (tax number)",
            ReadinessItem::BankAccount => "bank account",
            ReadinessItem::BusinessPlan => "business plan",
            ReadinessItem::OfficersTrained => "officers trained",
        })
    }
}

impl ReadinessItem {
    /// Every item, in the order of the programme's list.
    pub const ALL: [ReadinessItem; 7] = [
        ReadinessItem::LegalEntity,
        ReadinessItem::CooperativeNumber,
        ReadinessItem::BusinessNumber,
        ReadinessItem::TaxNumber,
        ReadinessItem::BankAccount,
        ReadinessItem::BusinessPlan,
        ReadinessItem::OfficersTrained,
    ];

    /// Whether confirming the item states a number, as a registry gave it.
    pub const fn has_number(self) -> bool {
        match self {
            ReadinessItem::LegalEntity
            | ReadinessItem::CooperativeNumber
            | ReadinessItem::BusinessNumber
            | ReadinessItem::TaxNumber => true,
            ReadinessItem::BankAccount
            | ReadinessItem::BusinessPlan
            | ReadinessItem::OfficersTrained => false,
        }
    }

    /// Whether a text can be the item's number.
    pub fn accepts_number(self, number: &str) -> bool {
        let digits = number.bytes().all(|b| b.is_ascii_digit());
        match self {
            ReadinessItem::LegalEntity | ReadinessItem::CooperativeNumber => true,
            ReadinessItem::BusinessNumber => digits && number.len() == 13,
            ReadinessItem::TaxNumber => digits && matches!(number.len(), 15 | 16),
            ReadinessItem::BankAccount
            | ReadinessItem::BusinessPlan
            | ReadinessItem::OfficersTrained => false,
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of readiness items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ReadinessSet(u8);

impl ReadinessSet {
    /// No item.
    pub const EMPTY: ReadinessSet = ReadinessSet(0);
    /// Every item.
    pub const FULL: ReadinessSet = ReadinessSet(0b0111_1111);

    /// Adds an item.
    pub const fn insert(&mut self, item: ReadinessItem) {
        self.0 |= item.bit();
    }
    /// Whether the item is in the set.
    pub const fn contains(self, item: ReadinessItem) -> bool {
        self.0 & item.bit() != 0
    }
    /// The items of `self` that are not in `other`.
    #[must_use]
    pub const fn without(self, other: ReadinessSet) -> ReadinessSet {
        ReadinessSet(self.0 & !other.0)
    }
    /// Whether no item is in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
    /// The items, in the order of [`ReadinessItem::ALL`].
    pub fn iter(self) -> impl Iterator<Item = ReadinessItem> {
        ReadinessItem::ALL.into_iter().filter(move |item| self.contains(*item))
    }
    /// One bit an item, the first of [`ReadinessItem::ALL`] the lowest: its form in a state.
    pub const fn bits(self) -> u8 {
        self.0
    }
    /// The set of those bits; `None` if one stands for no item.
    pub const fn from_bits(bits: u8) -> Option<ReadinessSet> {
        if bits & !Self::FULL.0 == 0 { Some(ReadinessSet(bits)) } else { None }
    }
}

impl FromIterator<ReadinessItem> for ReadinessSet {
    fn from_iter<I: IntoIterator<Item = ReadinessItem>>(items: I) -> Self {
        let mut set = ReadinessSet::EMPTY;
        items.into_iter().for_each(|item| set.insert(item));
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn rule_25_a_village_code_tells_the_kind_of_its_cooperative() {
        let kind = |text: &str| text.parse::<VillageCode>().unwrap().cooperative_kind();
        assert_eq!(kind("36.03.01.2003"), CooperativeKind::Kdmp);
        assert_eq!(kind("36.03.01.1001"), CooperativeKind::Kkmp);
        assert_eq!(kind("91.03.01.3001"), CooperativeKind::Kdmp);
    }

    #[test]
    fn a_village_code_has_its_form() {
        assert_eq!("36.03.01.2003".parse::<VillageCode>().unwrap().to_string(), "36.03.01.2003");
        for bad in ["", "36.03.01", "3603012003", "36.03.01.200", "36.03.01.20033", "36-03-01-2003"]
        {
            assert_eq!(bad.parse::<VillageCode>(), Err(VillageCodeError::Form), "{bad}");
        }
        let other = "36.03.01.4003".parse::<VillageCode>();
        assert_eq!(other, Err(VillageCodeError::Kind { found: '4' }));
    }

    #[test]
    fn numbers_of_registries_have_their_lengths() {
        assert!(ReadinessItem::BusinessNumber.accepts_number("0123456789012"));
        assert!(!ReadinessItem::BusinessNumber.accepts_number("012345678901"));
        assert!(ReadinessItem::TaxNumber.accepts_number("012345678901234"));
        assert!(ReadinessItem::TaxNumber.accepts_number("0123456789012345"));
        assert!(!ReadinessItem::TaxNumber.accepts_number("01234567890123x"));
    }
}
