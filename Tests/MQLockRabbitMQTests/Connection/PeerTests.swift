import MQLock
import MQLockTesting
import Testing

@testable import MQLockRabbitMQ

/// Whatever a peer sends at whatever moment: it may cost a session, with a reason, and never the process. The lock is then
/// granted over the next session, or refused in the words of the peer, and never for a limit that nobody has.
@Suite("What a peer sends", .serialized, .timeLimit(.minutes(5)))
struct PeerTests {
    private static let channels: [(String, @Sendable (UInt16) -> UInt16)] = [
        ("the same channel", { $0 }), ("channel 0", { _ in 0 }), ("a channel that is not open", { _ in 97 }),
        ("a channel beyond the last", { _ in 65535 }),
    ]

    /// The requests of a lock's whole life, the same ones once.
    private func steps(of mutex: RabbitMQLocks.Mutex) async throws -> [FakeBroker.Request] {
        let broker = try FakeBroker()
        _ = try await live(broker, mutex)
        var seen: Set<[Int]> = []
        return broker.requests.filter { seen.insert([$0.connection, Int($0.classID), Int($0.methodID)]).inserted }
    }

    private struct Life {
        var isGranted = false
        var refusal: LockError?
        var events: [LockEvent] = []
    }

    /// Acquires and releases a lock, tries it, and has the access checked.
    private func live(_ broker: FakeBroker, _ mutex: RabbitMQLocks.Mutex) async throws -> Life {
        var configuration = RabbitMQLocks.Configuration(uri: broker.uri, mutex: mutex)
        configuration.backoff = .milliseconds(1) ... .milliseconds(5)
        configuration.requestTimeout = .milliseconds(500)
        // What is broken off during the login is waited for that long.
        configuration.connectTimeout = .seconds(1)
        configuration.answersQuestions = false
        let log = EventLog()
        let locks = try RabbitMQLocks(configuration, observer: log)
        var outcome = Life()
        do throws(LockError) {
            let held = try await locks.acquire("peer", within: .seconds(20))
            outcome.isGranted = true
            try? await held.release()
        } catch {
            outcome.refusal = error
        }
        try? await locks.tryAcquire("peer")?.release()
        try? await locks.verify(within: .milliseconds(100))
        await locks.shutdown(within: .zero)
        outcome.events = log.events
        return outcome
    }

    @Test(arguments: RabbitMQLocks.Mutex.allCases)
    func theBrokerOfTheseTestsGrants(_ mutex: RabbitMQLocks.Mutex) async throws {
        let life = try await live(FakeBroker(), mutex)
        #expect(life.isGranted, "\(String(describing: life.refusal))")
        #expect(!life.events.contains { [.disconnected, .connectionFailed].contains($0.kind) })
    }

    @Test(arguments: RabbitMQLocks.Mutex.allCases)
    func anythingAtAnyMoment(_ mutex: RabbitMQLocks.Mutex) async throws {
        let steps = try await steps(of: mutex)
        try #require(steps.count > 10)
        var cases: [(step: FakeBroker.Request, what: String, bytes: @Sendable (UInt16) -> [UInt8])] = []
        for step in steps {
            for (place, channel) in Self.channels {
                for (index, thing) in Frames.everything(on: 0).enumerated() {
                    cases.append(
                        (step, "\(thing.name) on \(place)", { Frames.everything(on: channel($0))[index].bytes }))
                }
            }
        }
        let seed = TestSeed.next()
        print("what a peer sends: MQLOCK_SEED=\(seed)")
        var generator = SeededGenerator(seed)
        if !LiveBroker.isFullRun { cases = Array(cases.shuffled(using: &generator).prefix(100)) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (index, (step, what, bytes)) in cases.enumerated() {
                if index >= 16 { try await group.next() }
                group.addTask { try await self.one(mutex, step, what, bytes) }
            }
            try await group.waitForAll()
        }
    }

    /// After the first request like this one, once.
    private func one(
        _ mutex: RabbitMQLocks.Mutex, _ step: FakeBroker.Request, _ what: String,
        _ bytes: @Sendable @escaping (UInt16) -> [UInt8]
    ) async throws {
        let isDone = Locked(false)
        let broker = try FakeBroker { request in
            guard request.connection == step.connection, request.classID == step.classID,
                request.methodID == step.methodID
            else { return [] }
            let isFirst = isDone.withLock { isDone in
                defer { isDone = true }
                return !isDone
            }
            return isFirst ? bytes(request.channel) : []
        }
        let life = try await live(broker, mutex)
        let moment = "\(what) after \(step.classID).\(step.methodID) on connection \(step.connection)"
        // A broker that says it is blocked is waited for.
        let isBlocked = what.hasPrefix("10.60 ")
        #expect(isBlocked || life.refusal?.code != .timedOut, "\(mutex): \(moment)")
        #expect(life.refusal?.code != .limitExceeded, "\(mutex): \(moment): \(String(describing: life.refusal))")
        for event in life.events where event.kind == .disconnected || event.kind == .connectionFailed {
            #expect(event.reason != nil || event.detail?.isEmpty == false, "\(mutex): \(moment)")
        }
    }
}
