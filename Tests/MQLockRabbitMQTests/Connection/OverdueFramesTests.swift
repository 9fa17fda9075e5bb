import MQLock
import Testing

@testable import MQLockRabbitMQ

/// A broker takes back what its `consumer_timeout` says is overdue, from every contender of a lock once.
///
/// From RabbitMQ 4.3 on a consumer stays attached then, and is not served any more: in 4.3.0 to 4.3.5 for ever
/// (rabbitmq-server 17317). So it must not be left behind. Live brokers are asked in `OverdueConsumersTests`.
@Suite("Overdue consumers, by frames", .timeLimit(.minutes(2)))
struct OverdueFramesTests {
    private let name: LockName = "overdue"

    /// The queue by which the broker decides who is next.
    private func queue(of mutex: RabbitMQLocks.Mutex) throws -> String {
        let objects = try ObjectNames(name, vhost: "/")
        return mutex == .exclusiveQueue ? objects.line : objects.queue
    }

    private func programs(_ broker: FakeBroker, _ mutex: RabbitMQLocks.Mutex) throws -> [RabbitMQLocks] {
        var configuration = RabbitMQLocks.Configuration(uri: broker.uri, mutex: mutex)
        configuration.answersQuestions = false
        return try (0..<3).map { _ in try RabbitMQLocks(configuration) }
    }

    @Test(arguments: RabbitMQLocks.Mutex.allCases, FakeQueues.Overdue.allCases)
    func theChannelIsClosedBeforeTheNextConsume(
        _ mutex: RabbitMQLocks.Mutex, _ overdue: FakeQueues.Overdue
    ) async throws {
        let broker = try FakeBroker()
        let programs = try programs(broker, mutex)
        // What else there is at a first contact has gone then.
        for locks in programs { try await locks.acquire(name, within: .seconds(20)).release() }
        var waiting = programs.map { Contender($0, name) }
        var tokens: [FencingToken] = []
        while !waiting.isEmpty {
            try await eventually("a grant") { waiting.contains { $0.outcome.current != nil } }
            let first = try #require(waiting.firstIndex { $0.outcome.current != nil })
            let holder = waiting.remove(at: first)
            let lease = try await holder.lease()
            tokens.append(lease.fencingToken)
            let before = broker.takenBack.count
            broker.takeBack(overdue)
            let ended = broker.takenBack.dropFirst(before)
            #expect(ended.count == 1, "one of them has the lock: \(ended)")
            try await eventually("the end of the channel") { ended.allSatisfy { closing(of: $0, in: broker) != nil } }
            if mutex == .exclusiveQueue {
                #expect(lease.isValid, "the queue is held on, without its place in line")
            } else {
                #expect(try await lease.lossReason() != nil)
            }
            try await holder.release()
        }
        // And each of them again.
        for locks in programs {
            let held = try await locks.acquire(name, within: .seconds(20))
            tokens.append(held.lease.fencingToken)
            try await held.release()
        }
        #expect(tokens.count == 6 && zip(tokens, tokens.dropFirst()).allSatisfy(<), "\(tokens)")
        for locks in programs { await locks.shutdown() }

        let queue = try queue(of: mutex)
        for ended in broker.takenBack {
            let closed = try #require(closing(of: ended, in: broker))
            let next = broker.requests.indices.dropFirst(ended.requests).first { index in
                let request = broker.requests[index]
                return request.connection == ended.connection && request.queue == queue
            }
            #expect(closed < next ?? .max, "\(ended) was still open at the consume \(next ?? -1)")
        }
    }

    /// Also what somebody only looks at is taken back. Whoever waits goes on waiting.
    @Test(arguments: RabbitMQLocks.Mutex.allCases, FakeQueues.Overdue.allCases)
    func nobodyIsRefusedForIt(_ mutex: RabbitMQLocks.Mutex, _ overdue: FakeQueues.Overdue) async throws {
        let broker = try FakeBroker()
        let programs = try programs(broker, mutex)
        let waiting = programs.map { Contender($0, name) }
        for _ in 0..<20 {
            broker.takeBack(overdue)
            try await Task.sleep(for: .milliseconds(2))
        }
        try await withThrowingTaskGroup { group in
            for contender in waiting {
                group.addTask {
                    #expect(try await contender.failure() == nil)
                    try await contender.release()
                }
            }
            try await group.waitForAll()
        }
        for locks in programs { await locks.shutdown() }
    }

    /// Nor is whoever looks at what has been done.
    @Test func marksAreReadAllTheSame() async throws {
        let objects = try ObjectNames(name, vhost: "/")
        let done = Locked(false)
        let broker = try FakeBroker { request in
            guard (request.classID, request.methodID) == (50, 20), request.queue == objects.done else { return [] }
            let isFirst = done.withLock { done in
                defer { done = true }
                return !done
            }
            guard isFirst else { return [] }
            let words = FakeQueues.overdueWords(on: request.channel)
            let close = Frames.bytes(UInt16(406)) + Frames.short(words) + [0, 0, 0, 0]
            return Frames.method(request.channel, 20, 40, close)
        }
        let locks = try programs(broker, .singleActiveConsumer)[0]
        #expect(try await locks.marks(of: name, within: .seconds(20)) == [])
        #expect(done.withLock { $0 }, "else nothing was overdue")
        await locks.shutdown()
    }

    /// Where among the requests the client closed this channel, or confirmed that the broker did.
    private func closing(of ended: FakeBroker.TakenBack, in broker: FakeBroker) -> Int? {
        let requests = broker.requests
        return requests.indices.dropFirst(ended.requests).first { index in
            let request = requests[index]
            return request.connection == ended.connection && request.channel == ended.channel
                && request.classID == 20 && [40, 41].contains(request.methodID)
        }
    }
}
