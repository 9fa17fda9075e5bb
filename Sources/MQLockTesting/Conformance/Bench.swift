import MQLock

/// The place where one check runs: its providers, and limits on how long anything takes.
final class Bench<Provider: LockProvider>: Sendable {
    let subject: ConformanceSubject<Provider>
    private let made = Locked<[Provider]>([])

    init(_ subject: ConformanceSubject<Provider>) { self.subject = subject }

    /// A provider with its event log.
    struct Seat: Sendable {
        let provider: Provider
        let log: EventLog

        func acquire(_ name: LockName, within limit: Duration? = nil) -> TestContender {
            TestContender(provider, name, within: limit, once: false)
        }

        func tryAcquire(_ name: LockName) -> TestContender { TestContender(provider, name, once: true) }
    }

    func seat(maximumWaiters: Int? = nil) async throws -> Seat {
        let log = EventLog()
        return Seat(provider: try await provider(observer: log, maximumWaiters: maximumWaiters), log: log)
    }

    func provider(observer: any LockObserver, maximumWaiters: Int? = nil) async throws -> Provider {
        let provider = try await within("a provider") { [subject] in
            try await subject.make(.init(observer: observer, maximumWaiters: maximumWaiters))
        }
        made.withLock { $0.append(provider) }
        return provider
    }

    func seats(_ count: Int) async throws -> [Seat] {
        var seats: [Seat] = []
        for _ in 0..<count { seats.append(try await seat()) }
        return seats
    }

    func close() async {
        for provider in made.withLock({ $0 }) { await subject.close(provider) }
    }

    // MARK: Time

    private var pace: Pace {
        Pace(
            clock: subject.clock, move: subject.pass, handOverLimit: subject.handOverLimit, patience: subject.patience)
    }

    /// Does a step that needs no clock to move. A limit in real time, for hanging only.
    func within<Result: Sendable>(
        _ what: String, _ body: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        try await pace.within(what, body)
    }

    /// Does a step that needs time to pass, at most `limit` of it.
    func passing<Result: Sendable>(
        _ what: String, upTo limit: Duration, _ body: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        try await pace.passing(what, upTo: limit, body)
    }

    /// Lets time pass in full; only the clock is awaited.
    func pass(_ duration: Duration) async throws { try await pace.pass(duration) }

    // MARK: Steps

    /// The lease of a contender that has nothing to wait for.
    func granted(_ contender: TestContender, _ what: String) async throws -> Lease {
        try await within(what) { try await contender.lease() }
    }

    /// The lease of a contender that is granted when time passes.
    func grantedInTime(_ contender: TestContender, _ what: String) async throws -> Lease {
        try await passing(what, upTo: subject.handOverLimit * 3) { try await contender.lease() }
    }

    /// Releases a lock that is still held.
    func release(_ contender: TestContender) async throws {
        contender.beginRelease()
        if let error = try await within("a release", contender.ended) { throw error }
    }

    /// Starts a contender and returns when it stands in line, as far as that can be seen from here.
    func inLine(_ seat: Seat, _ name: LockName, within limit: Duration? = nil) async throws -> TestContender {
        let before = try await contenders(name)
        let contender = seat.acquire(name, within: limit)
        _ = try await within("a contender to wait") {
            await seat.log.events.first { $0.kind == .waiting && $0.name == name }
        }
        try await within("a contender to stand in line") { [self] in
            repeat {
                // Over the same session and after it: when this is answered, that has most likely been sent.
                let other = seat.tryAcquire(subject.makeName())
                _ = try await other.lease()
                other.beginRelease()
                _ = try await other.ended()
                if let before, let after = try await contenders(name), after > before { return }
            } while subject.faults.contenders != nil
        }
        return contender
    }

    private func contenders(_ name: LockName) async throws -> Int? { try await subject.faults.contenders?(name) }

    func require(_ condition: Bool, _ message: @autoclosure () -> String) throws {
        guard condition else { throw Unmet(message()) }
    }

    func need<Value>(_ fault: Value?, _ name: String) throws -> Value {
        guard let fault else { throw NotTried("this environment has no way to \(name)") }
        return fault
    }
}
