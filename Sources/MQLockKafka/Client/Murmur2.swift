/// The hash by which Java's Kafka client spreads keys over partitions.
enum Murmur2 {
    /// The partition of a record with this key, as Java's default partitioner chooses it.
    static func partition(of key: [UInt8], count: Int) -> Int32 {
        precondition(count > 0, "a topic has partitions")
        return Int32(Int(hash(key) & 0x7FFF_FFFF) % count)
    }

    /// `org.apache.kafka.common.utils.Utils.murmur2`.
    static func hash(_ key: [UInt8]) -> UInt32 {
        let multiplier: UInt32 = 0x5BD1_E995
        var hash = 0x9747_B28C ^ UInt32(truncatingIfNeeded: key.count)
        // Every check of the ownership comes here, so indices are not checked.
        key.withUnsafeBytes { key in
            let end = key.count & ~3
            for index in stride(from: 0, to: end, by: 4) {
                var word = UInt32(littleEndian: key.loadUnaligned(fromByteOffset: index, as: UInt32.self))
                word &*= multiplier
                word ^= word >> 24
                hash = hash &* multiplier ^ word &* multiplier
            }
            if end < key.count {
                for (place, byte) in key[end...].enumerated() { hash ^= UInt32(byte) << (8 * UInt32(place)) }
                hash &*= multiplier
            }
        }
        hash ^= hash >> 13
        hash &*= multiplier
        return hash ^ hash >> 15
    }
}
