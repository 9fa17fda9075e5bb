import MQLock
import Testing

@testable import MQLockKafka

extension LiveKafkaTests {
    @Suite struct ShardOwnershipTests {
        private let broker: LiveKafka

        init() throws { broker = try LiveKafkaTests.broker() }

        @Test func aLoneMemberOwnsEverythingUntilItLeaves() async throws {
            let topic = try broker.makeTopic(partitions: 4)
            let member = try Member(broker, topic, partitions: 4)
            let ownership = member.ownership
            var events = ownership.events.makeAsyncIterator()
            try await eventually("four shards") { member.owns(4) }
            let beginning = try #require(await events.next())
            #expect(beginning.kind == .owned && beginning.shard == 0)
            #expect(beginning.fencingToken == ownership.lease(for: 0)?.fencingToken)
            for number in 0..<100 {
                let name = try LockName("customer-\(number)")
                #expect(ownership.owns(name))
                #expect((0..<4).contains(ownership.shard(of: name)))
            }
            let first = try #require(ownership.lease(for: 3))
            let second = try #require(ownership.lease(for: 3))
            #expect(first.isValid && first.id == second.id)
            #expect(ownership.lease(for: 4)?.id == nil)
            let inside = try await ownership.withShard(of: "customer-1") { $0.fencingToken }
            #expect(try inside > #require(ownership.lease(for: ownership.shard(of: "customer-1"))).fencingToken)
            let whole = try await ownership.withShard(3) { $0 }
            #expect(whole.name == "shard/3" && whole.fencingToken > first.fencingToken)
            await #expect(throws: LockError.self) { try await ownership.withShard(4) { _ in } }
            // It lasts: renewals extend the proof past the session that the grant began with.
            let extended = first.remaining + LiveKafka.session(.seconds(3))
            try await Task.sleep(for: extended)
            #expect(first.isValid)
            #expect(throws: Never.self) { try first.check(atLeast: .milliseconds(1)) }

            let refusal = await member.leave()
            #expect(refusal == nil)
            #expect(ownership.owned.isEmpty && !first.isValid)
            #expect(ownership.lease(for: 3)?.id == nil)
            var last: ShardEvent?
            while let event = await events.next() { last = event }
            #expect(last?.kind == .released && last?.reason?.kind == .shutdown)
            #expect(last?.fencingToken != nil)
            // Whoever comes later hears that nothing comes any more.
            for await event in ownership.events { Issue.record("\(event)") }
        }

        @Test func twoMembersShareAndHandOver() async throws {
            let topic = try broker.makeTopic(partitions: 12)
            let one = try Member(broker, topic, partitions: 12)
            try await eventually("twelve shards") { one.owns(12) }
            let before = try (0..<12).map { try #require(one.ownership.lease(for: $0)?.fencingToken) }
            let two = try Member(broker, topic, partitions: 12)
            try await eventually("six shards each") {
                // The look at the first comes first: what it owns then, the second cannot.
                let mine = Set(one.ownership.owned)
                let theirs = Set(two.ownership.owned.filter { two.ownership.lease(for: $0) != nil })
                let still = mine.intersection(one.ownership.owned)
                try #require(still.isDisjoint(with: theirs), "owned twice")
                return mine.count == 6 && theirs.count == 6
            }
            for member in [one, two] {
                for shard in member.ownership.owned {
                    let token = try #require(member.ownership.lease(for: shard)?.fencingToken)
                    #expect(token > before[shard])
                }
            }
            await two.leave()
            try await eventually("twelve shards again") { one.owns(12) }
            await one.leave()
        }

        @Test func workIsAskedToEndAndIsAwaited() async throws {
            let topic = try broker.makeTopic(partitions: 1)
            let member = try Member(broker, topic, partitions: 1)
            try await eventually("the shard") { member.owns(1) }
            let ownership = member.ownership
            let began = AsyncStream.makeStream(of: Void.self)
            let work = Task {
                try await ownership.withShard(of: "anything") { lease in
                    began.continuation.yield()
                    for await _ in AsyncStream<Never>.makeStream().stream {}
                    // Told to end, and still protected.
                    return lease.isValid
                }
            }
            for await _ in began.stream { break }
            await member.leave()
            #expect(try await work.value)
            await #expect(throws: LockError.self) { try await ownership.withShard(of: "anything") { _ in } }
        }

        @Test func workThatDoesNotEndLosesTheShard() async throws {
            let topic = try broker.makeTopic(partitions: 1)
            let member = try Member(broker, topic, partitions: 1) { $0.drainTimeout = .milliseconds(200) }
            try await eventually("the shard") { member.owns(1) }
            let ownership = member.ownership
            let (goOn, continuation) = AsyncStream.makeStream(of: Void.self)
            let began = AsyncStream.makeStream(of: Lease.self)
            let work = Task {
                try await ownership.withShard(of: "anything") { lease in
                    began.continuation.yield(lease)
                    // Deaf to its cancellation.
                    await Task { for await _ in goOn { break } }.value
                }
            }
            var lease: Lease?
            for await one in began.stream {
                lease = one
                break
            }
            await member.leave()
            #expect(lease?.isValid == false)
            continuation.yield()
            let error = await #expect(throws: LockError.self) { try await work.value }
            #expect(error?.code == .lost && error?.lossReason?.kind == .shutdown)
        }

        @Test func anotherNumberOfPartitionsIsRefused() async throws {
            let topic = try broker.makeTopic(partitions: 3)
            let member = try Member(broker, topic, partitions: 4)
            let error = try #require(await member.end())
            #expect(error.code == .incompatible)
            #expect(error.message.contains("3 partitions"))
        }

        @Test func anUnknownTopicIsRefused() async throws {
            let member = try Member(broker, try broker.nameNoTopic(), partitions: 4)
            let error = try #require(await member.end())
            #expect(error.code == .incompatible)
        }
    }
}
