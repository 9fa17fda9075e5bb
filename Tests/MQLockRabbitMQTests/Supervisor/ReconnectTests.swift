import MQLock
import Testing

@testable import MQLockRabbitMQ

/// Sessions that come up and are gone at once.
@Suite("Reconnecting", .timeLimit(.minutes(2)))
struct ReconnectTests {
    /// At which request the broker hangs up: before the session stands, and after.
    @Test(arguments: [[10, 40], [20, 10], [60, 10], [50, 10]] as [[UInt16]])
    func pausesGrow(_ last: [UInt16]) async throws {
        let broker = try FakeBroker { [$0.classID, $0.methodID] == last ? nil : [] }
        var configuration = RabbitMQLocks.Configuration(uri: broker.uri)
        configuration.backoff = .milliseconds(20) ... .seconds(600)
        let log = EventLog()
        let locks = try RabbitMQLocks(configuration, observer: log)
        let contender = Contender(locks, "reconnecting")
        var instants: [ContinuousClock.Instant] = []
        for attempt in 0..<7 {
            try await eventually("attempt \(attempt)") { log.events.count { $0.kind == .connecting } > attempt }
            instants = log.events.filter { $0.kind == .connecting }.map(\.instant)
        }
        for attempt in 1..<7 {
            // What a session took that came up in between comes on top.
            let pause = instants[attempt - 1].duration(to: instants[attempt])
            #expect(pause >= .milliseconds(10) * (1 << (attempt - 1)), "before attempt \(attempt + 1)")
        }
        contender.cancel()
        await locks.shutdown()
    }

    /// The same for the second connection, which comes up when something is to be published.
    @Test(arguments: [RabbitMQLocks.Mutex.singleActiveConsumer, .token])
    func pausesOfTheSecondConnectionGrow(_ mutex: RabbitMQLocks.Mutex) async throws {
        let instants = Locked<[ContinuousClock.Instant]>([])
        let broker = try FakeBroker { request in
            guard request.connection > 0, request.classID == 85 else { return [] }
            instants.withLock { $0.append(.now) }
            return nil
        }
        var configuration = RabbitMQLocks.Configuration(uri: broker.uri, mutex: mutex)
        configuration.answersQuestions = false
        let locks = try RabbitMQLocks(configuration)
        let contender = Contender(locks, "reconnecting")
        try await eventually("five connections") { instants.withLock { $0.count } >= 5 }
        let seen = instants.withLock { $0 }
        for index in 1..<5 {
            // The broker sees them a little later than they are made.
            let pause = seen[index - 1].duration(to: seen[index])
            #expect(pause >= .milliseconds(200) * (1 << (index - 1)), "before connection \(index + 1)")
        }
        contender.cancel()
        await locks.shutdown()
    }

    /// The next host of the URI comes first after a session has ended, so a node that ends them all is left.
    @Test func theNextHostIsTried() async throws {
        let bad = try FakeBroker { [$0.classID, $0.methodID] == [50, 10] ? nil : [] }
        let good = try FakeBroker()
        let uri = "amqp://u:p@127.0.0.1:\(bad.port),127.0.0.1:\(good.port)"
        let log = EventLog()
        let locks = try RabbitMQLocks(.init(uri: uri), observer: log)
        try await locks.acquire("elsewhere", within: .seconds(30)).release()
        // Each after each, should the good one be too slow for something.
        let seen = log.events.map { "\($0.kind) \($0.detail ?? "") \($0.reason?.description ?? "")" }
        #expect(bad.connections <= 1 + good.connections, "\(seen)")
        #expect(good.connections >= 1)
        await locks.shutdown()
    }

    @Test func onlyWhatHasLastedCounts() {
        var count = FailureCount()
        let start = ContinuousClock.now
        for expected in 1...70 {
            if expected.isMultiple(of: 2) { count.cameUp(at: start) }
            let hasLasted = count.ended(at: start.advanced(by: .milliseconds(999)), lasting: .seconds(1))
            #expect(!hasLasted)
            #expect(count.count == expected)
        }
        count.cameUp(at: start)
        let hasLasted = count.ended(at: start.advanced(by: .seconds(1)), lasting: .seconds(1))
        #expect(hasLasted)
        #expect(count.count == 1)
    }
}
