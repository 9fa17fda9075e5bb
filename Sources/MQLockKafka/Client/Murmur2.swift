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
        var index = 0
        while index + 4 <= key.count {
            var word =
                UInt32(key[index]) | UInt32(key[index + 1]) << 8 | UInt32(key[index + 2]) << 16
                | UInt32(key[index + 3]) << 24
            word &*= multiplier
            word ^= word >> 24
            hash = hash &* multiplier ^ word &* multiplier
            index += 4
        }
        if index < key.count {
            for (place, byte) in key[index...].enumerated() { hash ^= UInt32(byte) << (8 * UInt32(place)) }
            hash &*= multiplier
        }
        hash ^= hash >> 13
        hash &*= multiplier
        return hash ^ hash >> 15
    }
}
