/// Counts what a ``LockObserver`` sees, and prints it in the text format that Prometheus scrapes.
///
/// ```swift
/// let metrics = LockMetrics()
/// let locks = try RabbitMQLocks(configuration, observer: metrics)
/// // In the HTTP handler for /metrics:
/// respond(metrics.prometheusText(), contentType: LockMetrics.contentType)
/// ```
///
/// One value can serve any number of providers; their numbers are added up. ``NameLabel`` bounds its memory and the
/// number of time series that it prints, whatever names are locked. The metrics are listed in <doc:Observing>.
public final class LockMetrics: LockObserver {
    /// What to send as the `Content-Type` of ``prometheusText()``.
    public static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    private let label: NameLabel
    private let clock: any LockClock
    private let state: Locked<MetricsState>

    /// Makes metrics that are all zero.
    /// - Parameters:
    ///   - nameLabel: whether metrics of locks have a label for the lock's name; by default they have none.
    ///   - clock: the clock that measures what is left of a proof of life; the same as the providers'.
    public init(nameLabel: NameLabel = .none, clock: any LockClock = SystemLockClock()) {
        label = nameLabel
        self.clock = clock
        state = Locked(MetricsState(nameLabel))
    }

    /// Counts the event: one short mutex, which ``prometheusText()`` holds for no longer than a copy takes.
    public func observe(_ event: LockEvent) {
        // The classifier is the user's code and runs before.
        let text = event.name.flatMap(label.text)
        state.withLock { $0.count(event, text) }
    }

    /// Everything counted so far, in the Prometheus text format, version 0.0.4. Durations are in seconds.
    public func prometheusText() -> String {
        let now = clock.now
        return state.withLock { $0 }.exposition(at: now).text
    }
}
