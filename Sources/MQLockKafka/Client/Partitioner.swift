/// How the client that writes keys spreads them over partitions.
public struct Partitioner: Hashable, Sendable, CustomStringConvertible {
    private enum Value: String { case murmur2, consistentRandom = "consistent_random" }
    private let value: Value

    /// Murmur2: the default of Java's client, and of clients that follow it. The default here.
    public static let murmur2 = Self(value: .murmur2)
    /// CRC-32: librdkafka's own default, and so that of confluent-kafka for Python, Go, .NET and others, unless
    /// configured otherwise (`partitioner`).
    public static let consistentRandom = Self(value: .consistentRandom)

    /// All of them.
    package static let all = [murmur2, consistentRandom]

    /// Librdkafka's name for it.
    public var description: String { value.rawValue }

    /// The same for a producer: records without a key go to any partition.
    var ofProducer: String { self == .murmur2 ? "murmur2_random" : value.rawValue }

    /// The partition of a record with this key.
    package func partition(of key: [UInt8], count: Int) -> Int32 {
        switch value {
        case .murmur2: Murmur2.partition(of: key, count: count)
        case .consistentRandom: CRC32.partition(of: key, count: count)
        }
    }
}

/// The hash by which librdkafka spreads keys over partitions by default: that of zlib and Ethernet.
enum CRC32 {
    /// The partition of a record with this key, as librdkafka's `consistent` and `consistent_random` choose it.
    static func partition(of key: [UInt8], count: Int) -> Int32 {
        precondition(count > 0, "a topic has partitions")
        return Int32(Int(hash(key)) % count)
    }

    static func hash(_ key: [UInt8]) -> UInt32 {
        ~key.reduce(~0) { hash, byte in table[Int(UInt8(truncatingIfNeeded: hash) ^ byte)] ^ hash >> 8 }
    }

    private static let table: [UInt32] = (0..<256).map { index in
        (0..<8).reduce(UInt32(index)) { value, _ in value & 1 == 0 ? value >> 1 : value >> 1 ^ 0xEDB8_8320 }
    }
}
