import MQLock
import Testing

@testable import MQLockRabbitMQ

/// Sessions that come up and are gone at once.
@Suite("Reconnecting", .timeLimit(.minutes(1)))
struct ReconnectTests {
    /// At which request the broker hangs up: before the session stands, and after.
    @Test(arguments: [[10, 40], [20, 10], [60, 10], [50, 10]] as [[UInt16]])
    func pausesGrow(_ last: [UInt16]) async throws {
        let broker = try FakeBroker { [$0.classID, $0.methodID] == last ? nil : [] }
        var configuration = RabbitMQLocks.Configuration(uri: broker.uri)
        configuration.backoff = .init(initial: .milliseconds(10), maximum: .seconds(600), factor: 2, jitter: 0)
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
