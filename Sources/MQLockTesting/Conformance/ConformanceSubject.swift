public import MQLock

/// What the conformance suite has to know about an adapter: how to make providers and, as far as the test environment
/// can do it, how to break things.
///
/// ```swift
/// var subject = ConformanceSubject<RabbitMQLocks>(handOverLimit: .seconds(6)) { options in
///     var configuration = RabbitMQLocks.Configuration(uri: uri)
///     configuration.heartbeat = .seconds(2)
///     configuration.maximumWaiters = options.maximumWaiters ?? configuration.maximumWaiters
///     return try RabbitMQLocks(configuration, observer: options.observer)
/// }
/// subject.close = { await $0.shutdown() }
/// subject.faults.endSession = { locks in try await proxy(of: locks).closeConnections() }
/// let report = await LockConformance(subject).run()
/// print(report)
/// ```
public struct ConformanceSubject<Provider: LockProvider>: Sendable {
    /// How to make a provider.
    public struct Options: Sendable {
        /// The observer that has to receive the provider's events.
        public let observer: any LockObserver
        /// How many contenders may wait in the provider; `nil` leaves the adapter's default.
        public let maximumWaiters: Int?
    }

    /// Makes a provider with a session of its own, as another process would have.
    public var make: @Sendable (Options) async throws -> Provider
    /// Closes a provider that is no longer needed.
    public var close: @Sendable (Provider) async -> Void = { _ in }
    /// Makes a name that no other test uses.
    public var makeName: @Sendable () -> LockName = { Self.randomName() }
    /// The clock that the providers live by.
    public var clock: any LockClock = SystemLockClock()
    /// Lets time pass if the clock has to be moved; `nil` if it passes by itself.
    public var pass: (@Sendable (Duration) async -> Void)?
    /// The longest time that the broker can need to hand the lock of a silent session to someone else.
    public var handOverLimit: Duration
    /// How much real time a step may take that needs no clock to move; only a hang takes that long.
    public var patience: Duration = .seconds(30)
    /// What can be broken.
    public var faults = ConformanceFaults<Provider>()

    /// A subject whose providers `make` makes.
    public init(handOverLimit: Duration, make: @escaping @Sendable (Options) async throws -> Provider) {
        self.handOverLimit = handOverLimit
        self.make = make
    }

    private static func randomName() -> LockName {
        let letters = "abcdefghijklmnopqrstuvwxyz"
        let text = "conformance-" + String((0..<16).map { _ in letters.randomElement() ?? "a" })
        guard let name = try? LockName(text) else { preconditionFailure("letters make a name") }
        return name
    }
}

/// Ways to break things, each left `nil` if the test environment cannot do it: the rule that needs it is then skipped,
/// and the report says so.
public struct ConformanceFaults<Provider: LockProvider>: Sendable {
    /// An action on one provider's session or process.
    public typealias OnProvider = @Sendable (Provider) async throws -> Void

    /// Closes the provider's connections; both sides notice.
    public var endSession: OnProvider?
    /// Lets nothing pass between the provider and the broker any more; neither side is notified.
    public var silence: OnProvider?
    /// Ends a silence.
    public var heal: OnProvider?
    /// Keeps what the broker sends to the provider in flight.
    public var holdAnswers: OnProvider?
    /// Delivers what was held, and holds no more. Silence of the other direction continues.
    public var passAnswers: OnProvider?
    /// Keeps what the provider sends in flight, until ``heal``.
    public var holdRequests: OnProvider?
    /// Loses the next request of the provider that does not renew its session; the session stays up.
    public var dropNextRequest: OnProvider?
    /// Stops the provider as SIGSTOP stops a process.
    public var pause: OnProvider?
    /// Lets a paused provider continue.
    public var resume: OnProvider?
    /// Ends the broker and starts it again.
    public var restartBroker: (@Sendable () async throws -> Void)?
    /// Kills the broker, with what it has not written, and starts it again.
    public var crashBroker: (@Sendable () async throws -> Void)?
    /// Deletes what the broker has for a name.
    public var deleteObjects: (@Sendable (LockName) async throws -> Void)?
    /// Puts an object of another kind where the name's would be.
    public var occupy: (@Sendable (LockName) async throws -> Void)?
    /// How many requests the broker has received that do not only renew sessions.
    public var requestCount: (@Sendable () async throws -> Int)?
    /// How many contenders the broker has in line for a name, the holder included.
    public var contenders: (@Sendable (LockName) async throws -> Int)?

    /// Nothing can be broken.
    public init() {}
}
