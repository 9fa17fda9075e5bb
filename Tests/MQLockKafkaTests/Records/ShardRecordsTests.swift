import MQLock
import Testing

@testable import MQLockKafka

extension LiveKafkaTests {
    /// Owners that read the partitions of a service's own topic.
    @Suite struct ShardRecordsTests {
        private let broker: LiveKafka

        init() throws { broker = try LiveKafkaTests.broker() }

        @Test(arguments: Partitioner.all)
        func theOwnerReadsItsPartitionInOrder(_ partitioner: Partitioner) async throws {
            let stage = try await offPool { try OrderStage(broker, partitions: 4, partitioner) }
            try await offPool { try stage.write(0..<200) }
            let member = try stage.member()
            try await member.ownership.ready(within: .seconds(60))
            #expect(member.owns(4))
            var values: Set<String> = []
            for shard in 0..<4 {
                let here = try await member.ownership.withShard(shard) { _ in
                    var here: [String] = []
                    let end = try stage.progress()[Int32(shard)]?.end ?? 0
                    for try await record in member.ownership.records(of: shard) {
                        #expect(record.partition == shard)
                        let key = try LockName(String(decoding: record.key, as: UTF8.self))
                        #expect(member.ownership.shard(of: key) == shard)
                        here.append(String(decoding: record.value ?? [], as: UTF8.self))
                        if record.offset == end - 1 { break }
                    }
                    return here
                }
                let numbers = here.compactMap { Int($0.dropFirst("order-".count)) }
                #expect(numbers == numbers.sorted() && !numbers.isEmpty)
                values.formUnion(here)
            }
            #expect(values.count == 200)
            #expect(member.ownership.misplaced.withLock { $0.isEmpty })
            await member.leave()
        }

        /// A sequence that waits for more ends when its shard is to be given up, and the work on it with it.
        @Test func itEndsWhenTheShardIsToBeGivenUp() async throws {
            let stage = try await offPool { try OrderStage(broker, partitions: 2) }
            let member = try stage.member { $0.drainTimeout = .seconds(3) }
            try await member.ownership.ready(within: .seconds(60))
            let ownership = member.ownership
            let read = Locked(0)
            let work = Task {
                try await withThrowingTaskGroup(of: Bool.self) { group in
                    for shard in 0...1 {
                        group.addTask {
                            try await ownership.withShard(shard) { lease in
                                for try await _ in ownership.records(of: shard) { read.withLock { $0 += 1 } }
                                return lease.isValid
                            }
                        }
                    }
                    return try await group.reduce(true) { $0 && $1 }
                }
            }
            // What is written later is read, too.
            try await offPool { try stage.write(0..<50) }
            try await eventually("the records") { read.withLock { $0 } == 50 }
            await member.leave()
            #expect(try await work.value)
            let over = await #expect(throws: LockError.self) {
                for try await _ in ownership.records(of: 0) {}
            }
            #expect(over?.code == .notOwner)
        }

        /// Also without work on the shard, whose cancellation would end it.
        @Test func aReaderWithoutWorkOnTheShardEndsWithIt() async throws {
            let stage = try await offPool { try OrderStage(broker, partitions: 1) }
            let member = try stage.member()
            try await member.ownership.ready(within: .seconds(60))
            let ownership = member.ownership
            let read = Locked(0)
            let reading = Task {
                for try await _ in ownership.records(of: 0) { read.withLock { $0 += 1 } }
            }
            try await offPool { try stage.write(0..<10) }
            try await eventually("the records") { read.withLock { $0 } == 10 }
            await member.leave()
            try await reading.value
        }

        /// Consumed offsets are committed with the output, or not at all; the next owner goes on behind them.
        @Test(.disabled(if: LiveKafka.isMock, "kafka: the mock drops the offsets of transactions; set MQLOCK_KAFKA"))
        func theNextOwnerGoesOnBehindWhatWasCommitted() async throws {
            let stage = try await offPool { try OrderStage(broker, partitions: 1) }
            try await offPool { try stage.write(0..<10) }
            for round in 0..<2 {
                let member = try stage.member()
                let ownership = member.ownership
                let producer = try FencedProducer(ownership)
                try await ownership.ready(within: .seconds(60))
                struct Changed: Error {}
                try await ownership.withShard(0) { lease in
                    var count = 0
                    for try await record in ownership.records(of: 0) {
                        #expect(String(decoding: record.value ?? [], as: UTF8.self) == "order-\(round * 5 + count)")
                        count += 1
                        if count == 5 {
                            // Begun, and given up: nothing of it counts.
                            await #expect(throws: Changed.self) {
                                try await producer.transaction(for: lease) { batch in
                                    batch.commit(offset: 100, of: stage.orders, partition: 0)
                                    throw Changed()
                                }
                            }
                        }
                        try await producer.transaction(for: lease) { batch in
                            batch.send(stage.bills, partition: 0, key: record.key, value: record.value)
                            batch.commit(after: record)
                        }
                        if count == 5 { break }
                    }
                }
                await member.leave()
                #expect(try await offPool { try stage.progress()[0]?.committed } == Int64(round + 1) * 5)
            }
            try await offPool { try stage.readBills() }
            #expect(stage.billed.count == 10 && stage.billed.values.allSatisfy { $0 == 1 })
        }

        /// Only offsets that the transaction's own shards fence, and never those of claims.
        @Test func offsetsThatAreNotFencedAreRefused() async throws {
            let stage = try await offPool { try OrderStage(broker, partitions: 2) }
            let member = try stage.member()
            try await member.ownership.ready(within: .seconds(60))
            let producer = try FencedProducer(member.ownership)
            let lease = try #require(member.ownership.lease(for: 1))
            let refused: [@Sendable (inout OutputBatch) -> Void] = [
                { $0.commit(offset: 1, of: stage.orders, partition: 0) },
                { $0.commit(offset: 1, of: stage.orders, partition: -1) },
                { $0.commit(offset: 1, of: stage.orders, partition: .max) },
                { $0.commit(offset: -1, of: stage.orders, partition: 1) },
                { $0.commit(offset: 1, of: stage.locks, partition: 1) },
            ]
            for commit in refused {
                let error = await #expect(throws: LockError.self) {
                    try await producer.transaction(for: lease) { commit(&$0) }
                }
                #expect(error?.code == .invalidConfiguration)
            }
            try await producer.transaction(for: lease) { $0.commit(offset: 1, of: stage.orders, partition: 1) }
            await member.leave()
        }

        /// Keys that another partitioner has placed are noticed: their locks are never where their records are.
        @Test func recordsOfAnotherPartitionerAreReportedOnce() async throws {
            let stage = try await offPool { try OrderStage(broker, partitions: 1) }
            let other = try await offPool { try OrderStage(broker, partitions: 4, .murmur2) }
            try await offPool { try other.write(0..<50, by: .consistentRandom) }
            let member = try other.member()
            let warning = Task { await member.ownership.firstWarning() }
            try await member.ownership.ready(within: .seconds(60))
            let end = try await offPool { try other.progress()[0]?.end ?? 0 }
            for try await record in member.ownership.records(of: 0) where record.offset == end - 1 { break }
            #expect(await warning.value?.reason?.detail.contains("partitioner") == true)
            #expect(await warning.value?.shard == 0)
            // Without a topic of records there is nothing to be read.
            let plain = try Member(broker, stage.locks, partitions: 1)
            try await plain.ownership.ready(within: .seconds(60))
            let error = await #expect(throws: LockError.self) {
                for try await _ in plain.ownership.records(of: 0) {}
            }
            #expect(error?.code == .invalidConfiguration)
            await member.leave()
            await plain.leave()
        }
    }

    /// The partitions of both topics have to go to the same member.
    @Suite struct CopartitioningTests {
        private let broker: LiveKafka

        init() throws { broker = try LiveKafkaTests.broker() }

        @Test func membersShareBothTopicsAlike() async throws {
            let stage = try await offPool { try OrderStage(broker, partitions: 6) }
            let one = try stage.member()
            let two = try stage.member()
            try await eventually("three shards each") { one.owns(3) && two.owns(3) }
            #expect(Set(one.ownership.owned).isDisjoint(with: two.ownership.owned))
            #expect(one.ownership.board.hindrance == nil && two.ownership.board.hindrance == nil)
            await one.leave()
            await two.leave()
        }

        /// A service of before, which knows only its own topic, has what it was given to itself; and when it has gone, all
        /// is owned: so one version replaces another.
        @Test func besideAnOlderVersionOnlyWhatIsOursTwiceIsOwned() async throws {
            let stage = try await offPool { try OrderStage(broker, partitions: 4) }
            let session = LiveKafka.session(.seconds(3)).inMilliseconds
            let (older, _) = try await offPool {
                try GroupConsumer.joined(
                    broker, stage.orders,
                    [("group.id", stage.group), ("session.timeout.ms", session), ("heartbeat.interval.ms", "100")])
            }
            let taken = Locked<[Int32]>([])
            let isOver = Locked(false)
            let polling = Task.detached {
                try await offPool {
                    while !isOver.withLock({ $0 }) {
                        switch older.poll(for: .milliseconds(20)) {
                        case .assigned(let partitions, _)?:
                            taken.withLock { $0 = partitions }
                            try older.assign(partitions)
                        case .revoked?: try older.unassign()
                        default: break
                        }
                    }
                    try older.beginClosing()
                    while !older.isClosed {
                        if case .revoked? = older.poll(for: .milliseconds(20)) { try older.unassign() }
                    }
                }
            }
            let member = try stage.member()
            let warning = await member.ownership.firstWarning()
            #expect(warning?.errorCode == .incompatible)
            try await eventually("what both were given") {
                member.owns(2) && taken.withLock { $0.count == 2 }
            }
            let others = Set(taken.withLock { $0 }.map(Int.init))
            #expect(others.isDisjoint(with: member.ownership.owned))
            isOver.withLock { $0 = true }
            try await polling.value
            try await eventually("all four") { member.owns(4) }
            await member.leave()
        }

        @Test func topicsOfDifferentSizesAreRefused() async throws {
            let stage = try await offPool { try OrderStage(broker, partitions: 2) }
            let other = try broker.makeTopic(partitions: 3)
            let member = try stage.member { $0.records = other }
            let error = try #require(await member.end())
            #expect(error.code == .incompatible && error.message.contains("3 partitions"), "\(error)")
        }

        /// The ways of a configuration that make no sense.
        @Test func namesAreChecked() throws {
            for (records, group) in [("orders.mqlock", "g"), ("", "g"), ("orders", ""), ("orders", "a\0b")] {
                let error = #expect(throws: LockError.self) {
                    try ShardOwnership(.init(records: records, locks: "orders.mqlock", group: group, partitions: 1))
                }
                #expect(error?.code == .invalidConfiguration)
            }
            let configuration = ShardOwnership.Configuration(records: "orders", group: "billing", partitions: 1)
            #expect(configuration.topic == "orders.mqlock")
            #expect(try ShardOwnership(configuration).group == "billing")
        }
    }
}
