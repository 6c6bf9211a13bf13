//! The writer, the projections, subscriptions
