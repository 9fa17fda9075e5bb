import CMQLockRdKafka
import MQLock
import MQLockTesting
import Testing

@testable import MQLockKafka

/// Names have to belong to the shards where the records with these keys lie, whoever writes them.
@Suite struct PartitionerTests {
    @Test func theHashIsThatOfZlib() {
        #expect(CRC32.hash(Array("123456789".utf8)) == 0xCBF4_3926)
        #expect(CRC32.hash([]) == 0)
    }

    /// Any key and any number of partitions, as the library itself places them.
    @Test(arguments: Partitioner.all) func theyAreThoseOfTheLibrary(_ partitioner: Partitioner) {
        let seed = TestSeed.next()
        var generator = SeededGenerator(seed)
        for _ in 0..<5000 {
            var key = (0..<Int.random(in: 1...300, using: &generator)).map { _ in
                UInt8.random(in: 0...255, using: &generator)
            }
            let count = Int.random(in: 1...100_000, using: &generator)
            let expected = key.withUnsafeMutableBytes { key in
                partitioner == .murmur2
                    ? rd_kafka_msg_partitioner_murmur2(nil, key.baseAddress, key.count, Int32(count), nil, nil)
                    : rd_kafka_msg_partitioner_consistent(nil, key.baseAddress, key.count, Int32(count), nil, nil)
            }
            #expect(partitioner.partition(of: key, count: count) == expected, "\(key), seed \(seed)")
        }
    }

    /// Names go by the configured one.
    @Test(arguments: Partitioner.all) func namesFollowIt(_ partitioner: Partitioner) throws {
        var configuration = ShardOwnership.Configuration(topic: "t", partitions: 12)
        configuration.partitioner = partitioner
        let ownership = try ShardOwnership(configuration)
        for number in 0..<100 {
            let name = try LockName("order-\(number)")
            #expect(ownership.shard(of: name) == Int(partitioner.partition(of: name.utf8, count: 12)))
        }
    }
}
