import CMQLockRdKafka
import MQLockTesting
import Testing

@testable import MQLockKafka

/// Keys of a service's records and of its locks have to land on the same partition.
@Suite struct Murmur2Tests {
    /// Made by librdkafka 2.0.2's `murmur2` partitioner: hash modulo 2^31 - 1, and of 12 partitions.
    @Test(
        arguments: [
            ([], 275_646_681, 9),
            (Array("a".utf8), 584_102_524, 4), (Array("ab".utf8), 316_155_434, 2), (Array("abc".utf8), 479_470_107, 3),
            (Array("abcd".utf8), 823_834_100, 8), (Array("abcde".utf8), 461_995_741, 1),
            (Array("customer-1".utf8), 1_939_597_761, 9), (Array("customer-42".utf8), 1_604_496_153, 9),
            (Array("nightly-report".utf8), 1_798_778_925, 9), (Array("order/2026/11/21".utf8), 285_033_553, 1),
            (Array("\u{E9}".utf8), 186_971_271, 3), (Array("e\u{301}".utf8), 496_939_291, 7),
            (Array("日本語".utf8), 1_431_860_170, 10), (Array("🔒".utf8), 457_636_560, 0),
            (Array("straße".utf8), 1_115_426_074, 10), ([0xFF, 0xFE, 0x80], 1_986_757_251, 3),
            (Array("0".utf8), 971_027_396, 8), (Array("7".utf8), 186_186_099, 3),
            (Array("line\nbreak".utf8), 1_939_992_945, 9), (Array(" ".utf8), 1_160_251_521, 9),
            (Array("mqlock.v1/claim".utf8), 1_002_995_043, 3), (Array(repeating: 0x6B, count: 200), 216_521_961, 9),
            (Array(repeating: 0x6B, count: 600), 883_304_239, 7), (Array(repeating: 0x6B, count: 1000), 571_762_640, 8),
        ] as [([UInt8], Int32, Int32)])
    func asLibrdkafka(_ key: [UInt8], _ ofMany: Int32, _ ofTwelve: Int32) {
        #expect(Murmur2.partition(of: key, count: Int(Int32.max)) == ofMany)
        #expect(Murmur2.partition(of: key, count: 12) == ofTwelve)
    }

    /// From the Java client's own test of its hash.
    @Test(
        arguments: [
            ("21", -973_932_308), ("foobar", -790_332_482), ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829), ("abc", 479_470_107),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
        ] as [(String, Int32)])
    func asTheJavaClient(_ key: String, _ hash: Int32) {
        #expect(Int32(bitPattern: Murmur2.hash(Array(key.utf8))) == hash)
    }

    @Test func asLibrdkafkaOnRandomKeys() {
        let seed = TestSeed.next()
        var generator = SeededGenerator(seed)
        for _ in 0..<10_000 {
            let key = (0..<Int.random(in: 0...50, using: &generator)).map { _ in
                UInt8.random(in: 0 ... .max, using: &generator)
            }
            let count = Int32.random(in: 1...1000, using: &generator)
            let expected = rd_kafka_msg_partitioner_murmur2(nil, key, key.count, count, nil, nil)
            #expect(Murmur2.partition(of: key, count: Int(count)) == expected, "seed \(seed)")
        }
    }
}
