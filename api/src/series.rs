//! Counts by the hour or the day, packed: ten thousand services have millions of them. Pure.

/// Rows of `N` counts, each with a number of its own, ascending. Packed as varints: the distance from the number before,
/// then the counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Series<const N: usize>(Box<[u8]>);

impl<const N: usize> Series<N> {
    /// The rows, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (i64, [u64; N])> {
        let (mut rest, mut number) = (&*self.0, 0_i64);
        std::iter::from_fn(move || {
            number = number.wrapping_add_unsigned(read_varint(&mut rest)?);
            let mut counts = [0; N];
            for count in &mut counts {
                *count = read_varint(&mut rest)?;
            }
            Some((number, counts))
        })
    }

    /// These rows from number `begin` on; from `since` on those of `newer` in their place.
    pub fn renewed(&self, begin: i64, since: i64, newer: &Series<N>) -> Series<N> {
        let older = self.iter().filter(|(number, _)| (begin..since).contains(number));
        older.chain(newer.iter().filter(|(number, _)| *number >= since.max(begin))).collect()
    }
}

impl<const N: usize> FromIterator<(i64, [u64; N])> for Series<N> {
    /// The numbers must ascend.
    fn from_iter<I: IntoIterator<Item = (i64, [u64; N])>>(rows: I) -> Series<N> {
        let (mut packed, mut last) = (Vec::new(), 0_i64);
        for (number, counts) in rows {
            write_varint(&mut packed, number.wrapping_sub(last).cast_unsigned());
            counts.into_iter().for_each(|count| write_varint(&mut packed, count));
            last = number;
        }
        Series(packed.into())
    }
}

/// Seven bits a byte, the lowest first; the eighth says that more follow.
fn write_varint(packed: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        packed.push(number as u8 | 0x80);
        number >>= 7;
    }
    packed.push(number as u8);
}

fn read_varint(packed: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let (byte, rest) = packed.split_first()?;
        *packed = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_hour_takes_three_bytes() {
        let month: Series<2> = (491_000..491_720).map(|hour| (hour, [60, 1])).collect();
        assert!(month.0.len() < 3 * 720 + 10, "{}", month.0.len());
    }

    proptest! {
        #[test]
        fn a_packed_series_is_what_it_was(
            old in prop::collection::btree_map(any::<i64>(), any::<[u64; 3]>(), 0..50),
            new in prop::collection::btree_map(any::<i64>(), any::<[u64; 3]>(), 0..50),
            begin in any::<i64>(), since in any::<i64>(),
        ) {
            let packed = |rows: &BTreeMap<i64, [u64; 3]>| -> Series<3> { rows.iter().map(|(n, row)| (*n, *row)).collect() };
            let plain = |rows: BTreeMap<i64, [u64; 3]>, keep: &dyn Fn(i64) -> bool| -> Vec<(i64, [u64; 3])> {
                rows.into_iter().filter(|(number, _)| *number >= begin && keep(*number)).collect()
            };
            prop_assert!(packed(&old).iter().eq(old.clone()));
            let renewed: Vec<_> = packed(&old).renewed(begin, since, &packed(&new)).iter().collect();
            let expected = [plain(old, &|n| n < since), plain(new, &|n| n >= since)].concat();
            prop_assert_eq!(renewed, expected);
        }
    }
}
