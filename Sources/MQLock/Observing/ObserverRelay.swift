import Synchronization

/// Brings events from wherever they happen to the observer: in order, off the caller's thread, bounded. One per
/// provider; for adapters.
///
/// The observer gets a thread of its own. Swift's pool has only as many threads as there are processors: an observer
/// that blocks there would keep every task of the program waiting, the next holder's among them.
public final class ObserverRelay: Sendable {
    private let line: EventLine?
    /// The provider's own relay, for that of a further session.
    private let main: ObserverRelay?
    private let provider = ObserverRelay.providers.wrappingAdd(1, ordering: .relaxed).newValue
    private static let providers = Atomic(0)

    /// A relay to an observer, or to none.
    /// - Parameters:
    ///   - observer: is called in order, one call at a time; `nil` for none.
    ///   - capacity: how many events wait at most for a slow observer.
    public init(_ observer: (any LockObserver)?, capacity: Int = 4096) {
        line = observer.map { EventLine($0, capacity: max(1, capacity)) }
        main = nil
    }

    private init(besides main: ObserverRelay) { (line, self.main) = (main.line, main) }

    deinit { if main == nil { line?.finish() } }

    /// A relay to the same observer for a further session of the same provider. To the observer it is a provider without
    /// contenders: those are counted where they called.
    package func ofFurtherSession() -> ObserverRelay { ObserverRelay(besides: main ?? self) }

    /// Whether there is an observer: without one, callers can skip making the event.
    package var isActive: Bool { line != nil }

    /// Sends an event of this relay's own provider.
    package func send(_ event: @autoclosure () -> LockEvent) {
        line?.send { tally in
            var event = event()
            event.provider = provider
            guard main == nil else { return event }
            tally.count(event)
            event.locksHeld = tally.held
            event.contendersWaiting = tally.waiting
            return event
        }
    }

    /// Sends an event that ``LockFront`` cannot know of: of a session, or of a lease that is suspect.
    /// - Parameters:
    ///   - kind: what happened: `connecting`, `connectionFailed`, `connected`, `renewed`, `suspect`, `foreign`, `warning`,
    ///     `disconnected` or `stopped`.
    ///   - owner: who contends or holds, as configured.
    ///   - record: which lease, if the event is about one.
    ///   - instant: when.
    ///   - reason: why, on `disconnected`.
    ///   - detail: what a person should know.
    ///   - roundTrip: on `renewed`, how long the broker took to answer.
    ///   - proven: on `renewed`, how long the proof stands from now on.
    public func report(
        _ kind: LockEvent.Kind, owner: String, of record: LeaseRecord? = nil,
        at instant: ContinuousClock.Instant = .now,
        reason: LossReason? = nil, detail: String? = nil, roundTrip: Duration? = nil, proven: Duration? = nil
    ) {
        send(
            LockEvent(
                kind, at: instant, record: record, owner: owner, roundTrip: roundTrip, proven: proven, reason: reason,
                detail: detail))
    }

    /// Passes on an event that another relay has sent.
    package func forward(_ event: LockEvent) { line?.send { _ in event } }

    private static let attempts = Atomic<UInt64>(0)

    /// A number for a new attempt; nil without an observer.
    package func nextAttempt() -> UInt64? {
        isActive ? Self.attempts.wrappingAdd(1, ordering: .relaxed).newValue : nil
    }
}

/// What a provider holds and how many wait there, going by the events that were sent. It is sent with each event, so an
/// observer that missed some is right again with the next.
struct EventTally {
    private(set) var held = 0
    private(set) var waiting = 0

    mutating func count(_ event: LockEvent) {
        if event.endsWaiting { waiting -= 1 }
        switch event.kind {
        case .waiting: waiting += 1
        case .granted: held += 1
        case .released, .lost, .leaked: held -= 1
        default: break
        }
    }
}
