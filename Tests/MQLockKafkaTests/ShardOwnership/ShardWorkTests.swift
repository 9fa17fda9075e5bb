import Dispatch
import MQLock
import Synchronization
import Testing

@testable import MQLockKafka

/// Work under owned shards, without a broker: the test puts the holds on the board, as the poll thread does.
@Suite struct ShardWorkTests {
    private let ownership: ShardOwnership
    private let holds: [ShardHold]

    init() throws {
        ownership = try ShardOwnership(.init(topic: "no-broker", partitions: 2))
        let proof = ProofOfLife(until: .now.advanced(by: .seconds(600)))
        holds = try (0..<2).map {
            try #require(ShardHold($0, .init(number: 1 << 40, offset: 0), owner: "test", proof: proof))
        }
        for hold in holds { ownership.board.set(hold) }
    }

    private final class Thing: Sendable {}

    @Test func workThatHasEndedLeavesNothingBehind() async throws {
        weak var last: Thing?
        var most = 0
        for number in 0..<1000 {
            let (thing, count) = try await ownership.withShard(number % 2) { [holds] _ in
                (Thing(), holds[number % 2].workCount)
            }
            last = thing
            most = max(most, count)
        }
        #expect(most == 1)
        #expect(holds.map(\.workCount) == [0, 0])
        #expect(last == nil)
        // Work that fails leaves no more, nor does a lock.
        struct Failed: Error {}
        await #expect(throws: Failed.self) { try await ownership.withShard(of: "name") { _ in throw Failed() } }
        let locks = ShardLocks(ownership)
        for number in 0..<100 { try await locks.withLock(LockName("customer-\(number)")) { _ in } }
        #expect(holds.map(\.workCount) == [0, 0])
    }

    @Test func readersThatHaveGoneLeaveNothingBehind() async {
        let kept = ownership.events
        for _ in 0..<1000 { _ = ownership.events }
        #expect(ownership.board.readerCount <= 2)
        var first = kept.makeAsyncIterator()
        #expect(await first.next()?.kind == .owned)
    }

    /// A recall that was never made is forgotten with its lease.
    @Test func whoeverIsToBeNotifiedIsForgottenWithTheLease() throws {
        let calls = Atomic(0)
        for _ in 0..<1000 {
            let record = try #require(holds[0].grant("leader", leads: true))
            holds[0].onDrain(record) { calls.add(1, ordering: .relaxed) }
            holds[0].release(record)
        }
        #expect(holds[0].workCount == 0)
        let kept = try #require(holds[0].grant("leader", leads: true))
        holds[0].onDrain(kept) { calls.add(1, ordering: .relaxed) }
        holds[0].drain(until: .now) {}
        holds[0].end(LossReason(.partitionRevoked))
        #expect(calls.load(ordering: .relaxed) == 1)
        // Too late: at once.
        holds[0].onDrain(kept) { calls.add(1, ordering: .relaxed) }
        #expect(calls.load(ordering: .relaxed) == 2)
    }

    @Test func theBoardFindsTheHoldOfALeaseUntilItHasEnded() throws {
        let board = ownership.board
        for hold in holds {
            let record = try #require(hold.grant("anything"))
            #expect(board.hold(of: record) === hold)
            #expect(board.hold(of: hold.lease) === hold)
            hold.release(record)
            #expect(board.hold(of: record) == nil)
        }
        let last = try #require(holds[0].grant("anything"))
        holds[0].end(LossReason(.partitionLost))
        board.remove(0, LossReason(.partitionLost))
        #expect(board.hold(of: last) == nil && board.hold(of: holds[0].lease) == nil)
        #expect(board.hold(of: holds[1].lease) === holds[1])
    }

    /// How the poll thread takes shards away.
    enum Taking: CaseIterable { case drain, end }

    /// Cancellation handlers are the user's code: one that blocks must not keep other shards from being notified.
    @Test(.timeLimit(.minutes(1)), arguments: Taking.allCases)
    func aCancellationHandlerThatBlocksKeepsNobodyWaiting(_ taking: Taking) async throws {
        let stage = TwoShards(ownership)
        let works = stage.start()
        for await _ in stage.began { break }
        for await _ in stage.began { break }
        let start = ContinuousClock.now
        for hold in holds {
            switch taking {
            case .drain: hold.drain(until: .now.advanced(by: .seconds(60))) {}
            case .end: hold.end(LossReason(.partitionLost))
            }
        }
        #expect(start.duration(to: .now) < TwoShards.patience / 2)
        let ends = [await works[0].result, await works[1].result]
        #expect(stage.wasNotKeptWaiting)
        for end in ends {
            switch (end, taking) {
            case (.success, .drain): break
            case (.failure(let error as LockError), .end): #expect(error.code == .lost)
            default: Issue.record("\(end)")
            }
        }
        #expect(holds.map(\.workCount) == [0, 0])
    }
}

extension LiveKafkaTests {
    @Suite struct ShardWorkOnABrokerTests {
        @Test func aCancellationHandlerThatBlocksDoesNotBlockThePollThread() async throws {
            let broker = try LiveKafkaTests.broker()
            let topic = try broker.makeTopic(partitions: 2)
            let member = try Member(broker, topic, partitions: 2, session: .seconds(60)) {
                $0.drainTimeout = TwoShards.patience * 2
            }
            try await eventually("two shards") { member.owns(2) }
            let stage = TwoShards(member.ownership)
            let works = stage.start()
            for await _ in stage.began { break }
            for await _ in stage.began { break }
            await member.leave()
            for work in works { try await work.value }
            #expect(stage.wasNotKeptWaiting)
        }
    }
}

/// Work under two shards, of which the first, which is notified first, blocks in its cancellation handler until the second
/// has been cancelled.
private final class TwoShards: Sendable {
    /// For the second to be cancelled; only a failing test takes it.
    static let patience = Duration.seconds(20)

    let began: AsyncStream<Void>
    private let ownership: ShardOwnership
    private let begin: AsyncStream<Void>.Continuation
    private let second = DispatchSemaphore(value: 0)
    private let came = Atomic(false)

    init(_ ownership: ShardOwnership) {
        self.ownership = ownership
        (began, begin) = AsyncStream.makeStream()
    }

    /// Whether the second was cancelled while the first one's handler blocked.
    var wasNotKeptWaiting: Bool { came.load(ordering: .acquiring) }

    func start() -> [Task<Void, any Error>] {
        [
            // On a thread of its own: the pool has as many as the machine has cores.
            Task(executorPreference: OwnThread()) { [self] in
                try await work(0) { [self] in
                    let isInTime = second.wait(timeout: .now() + Self.patience.seconds) == .success
                    came.store(isInTime, ordering: .releasing)
                }
            },
            Task { [self] in try await work(1) { [second] in second.signal() } },
        ]
    }

    private func work(_ shard: Int, _ onCancel: @escaping @Sendable () -> Void) async throws {
        try await ownership.withShard(shard) { [begin] _ in
            await withTaskCancellationHandler {
                begin.yield()
                for await _ in AsyncStream<Never>.makeStream().stream {}
            } onCancel: {
                onCancel()
            }
        }
    }
}
