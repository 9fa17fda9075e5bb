import MQLock
import Testing

@testable import MQLockRabbitMQ

/// One lock of one mutex, to be held by one program and waited for by another, and what a fault does to it.
final class Stage: Sendable {
    struct Options: Sendable {
        var query = "heartbeat=1"
        /// Whether a proxy stands between the holder's program and the broker.
        var isBehindProxy = false
        /// The broker's node that the holder's program connects to, if not the same as the others'.
        var holdersNode: LiveBroker?
        /// Whether the fault may reach the waiter, too, when it has been served already.
        var strikesWaiterToo = false
        var change: @Sendable (inout RabbitMQLocks.Configuration) -> Void = { _ in }
    }

    let mutex: MutexUnderTest
    let name: LockName
    let broker: LiveBroker
    let proxy: FaultyProxy?
    let program: RabbitMQLocks
    let other: RabbitMQLocks
    let events = EventLog()
    let holding: Holding
    private let storage = Locked(Storage())
    private let strikesWaiterToo: Bool
    private let struckAt = Locked(ContinuousClock.now)

    private struct Storage {
        var observation = Observation()
        var lease: Lease?
        var waiter: Contender?
    }

    init(_ mutex: MutexUnderTest, on broker: LiveBroker, _ options: Options) throws {
        (self.mutex, self.broker, strikesWaiterToo) = (mutex, broker, options.strikesWaiterToo)
        name = try LockName("test/fault/\(UInt64.random(in: 0 ... .max))")
        proxy = options.isBehindProxy ? try FaultyProxy(to: broker.port) : nil
        let owner = "holder of \(name)"
        let near = options.holdersNode ?? proxy.map { broker.behind($0) } ?? broker
        program = try near.locks(options.query, observer: events) { configuration in
            mutex.configure(&configuration)
            configuration.owner = owner
            options.change(&configuration)
        }
        other = try broker.locks(options.query) { configuration in
            mutex.configure(&configuration)
            options.change(&configuration)
        }
        holding = Holding(program, name)
    }

    // MARK: Its parts

    var lease: Lease { get throws { try #require(storage.withLock { $0.lease }, "\(mutex): nobody holds yet") } }
    var waiter: Contender { get throws { try #require(storage.withLock { $0.waiter }, "\(mutex): nobody waits") } }
    var observation: Observation { storage.withLock { $0.observation } }

    func note(_ change: (inout Observation) -> Void) { storage.withLock { change(&$0.observation) } }

    func isHeld() async throws {
        let lease = try await holding.lease()
        storage.withLock { $0.lease = lease }
    }

    func startWaiting() {
        let waiter = Contender(other, name)
        storage.withLock { $0.waiter = waiter }
    }

    /// All times count from here.
    func strike() { struckAt.withLock { $0 = .now } }

    private var struck: ContinuousClock.Instant { struckAt.withLock { $0 } }

    // MARK: What is seen

    /// The holder is told, by all three ways at once: the lease, its states, and the end of the body's task.
    func holderIsNotified() async throws {
        let lease = try lease
        let reason = try #require(try await lease.lossReason(), "\(mutex): released, not lost")
        #expect(!lease.isValid)
        let (wasCancelled, error) = try await holding.ending()
        #expect(wasCancelled, "\(mutex): the body's task was not cancelled")
        #expect(error?.code == .lost, "\(mutex): \(String(describing: error))")
        let ended = try #require(lease.record.endedAt)
        note {
            $0.holder = "notified: \(LossReason(reason.kind))"
            $0.holderKnew = struck.duration(to: ended)
        }
    }

    /// For so long the holder keeps the lock and the waiter is not served.
    func holderKeeps(for time: Duration) async throws {
        try await Task.sleep(for: time)
        let lease = try lease
        #expect(lease.isValid, "\(mutex): \(lease.record.state)")
        if case .success? = try waiter.outcome.current {
            Issue.record("\(mutex): the waiter was served beside the holder")
        }
        #expect(!events.events.contains { $0.kind == .lost }, "\(mutex)")
        note { $0.holder = "keeps it" }
    }

    func holderReleases() async throws {
        holding.release()
        let (wasCancelled, error) = try await holding.ending()
        #expect(!wasCancelled && error == nil, "\(mutex): \(String(describing: error))")
    }

    /// The waiter is served, after the holder's end and with a larger number.
    func waiterIsServed(_ how: String = "next") async throws {
        try await waiterIsServed(how, early: .zero)
    }

    /// The same, of a fault by which the broker takes the lock back at once and then tells: the waiter's news may be
    /// quicker than the holder's.
    func waiterIsServedAtOnce() async throws {
        try await waiterIsServed("next, maybe moments too early", early: .seconds(1))
    }

    private func waiterIsServed(_ how: String, early: Duration) async throws {
        let (lease, next) = (try lease, try await waiter.lease())
        let (ended, granted) = (try #require(lease.record.endedAt), next.record.grantedAt)
        let overlap = granted.duration(to: ended)
        #expect(!lease.isValid, "\(mutex): a holder never comes back by itself")
        #expect(overlap <= early, "\(mutex): two at once for \(overlap.readable)")
        if overlap > .zero { print("\(mutex): two at once for \(overlap.readable)") }
        try noteGrant(next, overlap <= early ? how : "before the holder's end")
    }

    func noteGrant(_ next: Lease, _ how: String) throws {
        let last = try lease.fencingToken
        #expect(next.fencingToken > last, "\(mutex)")
        note {
            $0.waiter = how
            $0.waiterHeld = struck.duration(to: next.record.grantedAt)
            $0.tokens = next.fencingToken > last ? "grow" : "go back"
        }
    }

    func waiterIsRefused() async throws {
        let error = try #require(try await waiter.failure(), "\(mutex): granted")
        note { $0.waiter = "refused: \(error.code)" }
    }

    /// Both programs can have the lock again, one after the other. When they cannot, an operator's remedy is tried.
    func lockWorksAgain() async throws {
        if let error = try await waiter.release(), !strikesWaiterToo || error.code != .lost {
            Issue.record("\(mutex): the waiter's release: \(error)")
        }
        var last = try lease.fencingToken
        if case .success(let lease)? = try waiter.outcome.current { last = lease.fencingToken }
        var word = "works"
        var patience = Duration.seconds(observation.afterwards.isEmpty ? 30 : 4)
        for locks in [program, other] {
            var again = Contender(locks, name, within: patience)
            if let error = try await again.failure() {
                #expect(error.code == .timedOut, "\(mutex): \(error)")
                try await broker.deleteQueue(try broker.objects(name).queue)
                word = "out of order until its queue is deleted"
                patience = .seconds(30)
                again = Contender(locks, name, within: patience)
            }
            let lease = try await again.lease()
            #expect(lease.fencingToken > last, "\(mutex)")
            if lease.fencingToken <= last { note { $0.tokens = "go back" } }
            last = lease.fencingToken
            #expect(try await again.release() == nil, "\(mutex)")
        }
        note {
            $0.afterwards = word
            if $0.tokens.isEmpty { $0.tokens = "grow" }
        }
    }

    func close() async {
        proxy?.change { ($0.silentToBroker, $0.silentToClient) = (false, false) }
        holding.release()
        storage.withLock { $0.waiter }?.cancel()
        await program.shutdown(within: .seconds(2))
        await other.shutdown(within: .seconds(2))
        broker.clean([name])
    }
}
