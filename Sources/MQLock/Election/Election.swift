/// One candidate for the leadership of a name: what leader elections over all brokers have in common.
///
/// One value is one candidate, and is one candidate at a time: ``run(_:)`` and ``campaign(within:)`` exclude each other.
/// ``LeaderElection`` is one over any ``LockProvider``; MQLockKafka has one of its own.
public protocol Election: Sendable {
    /// What is led.
    var name: LockName { get }

    /// Who this candidate is, as others see it.
    var owner: String { get }

    /// Keeps campaigning until it is stopped, and runs `body` while this candidate leads.
    ///
    /// The task of `body` is cancelled as soon as the leadership has to end. Its end is awaited before anyone else
    /// leads, as long as the proof of the leadership lasts. So a body that ends soon after its cancellation never
    /// overlaps with a successor's, unless the broker hands the leadership to someone else before it notifies us (see
    /// the article *Leader election*). Afterwards:
    /// - lost: campaigns again; after several leaderships that ended soon, first waits for a growing, partly random
    ///   time.
    /// - the body threw: the leadership is given up, and after such a wait it campaigns again.
    /// - the body returned, or the candidate resigned: gives up the leadership and returns.
    ///
    /// Cancellation ends the body, gives up the leadership, and returns without an error. It waits for the body for
    /// ``ElectionSettings/stopTimeout``. A body that continues keeps the leadership, if nothing else ends it, until the
    /// body ends.
    /// - Throws: ``LockError``: `unhealthy` when the health check made it resign; `timedOut` when it was cancelled and the
    ///   body went on; what the provider refuses for good; `alreadyRunning` when this is a candidate already; `shutDown` after
    ///   ``shutdown()``.
    func run(_ body: @escaping @Sendable (Leadership) async throws -> Void) async throws

    /// Campaigns until elected, without a body to run: the leadership lasts until it is lost, or given up by
    /// ``resign()`` or ``cede()``, which here are the same.
    ///
    /// When it is lost, this is no longer a candidate.
    /// - Parameter limit: how long to campaign at most; `nil` has no limit.
    /// - Throws: ``LockError`` as ``LockProvider/acquire(_:within:)``. Cancelled, or resigned meanwhile (`cancelled`), it
    ///   leads nothing and is no candidate.
    func campaign(within limit: Duration?) async throws(LockError) -> Leadership

    /// Stops being a candidate, and gives up a leadership; ``run(_:)`` returns. It does not lead again before it is
    /// asked to campaign.
    ///
    /// Returns when that is done, so not before the body has ended. Called by the body itself, it returns at once,
    /// because the body has to end first. Cancellation does not cut it short.
    func resign() async

    /// Ends the candidacy for good, from wherever it is called: the body is ended as by a cancelled ``run(_:)``, which
    /// returns; a later ``run(_:)`` returns at once, and a campaign, one under way too, throws `shutDown`.
    ///
    /// Returns when that is done, within ``ElectionSettings/stopTimeout`` for each of the body and the broker. Called
    /// by the body itself, it returns at once. Cancellation does not cut it short.
    func shutdown() async

    /// Gives up a leadership, and stays a candidate behind the others: stands aside until another has led, or for
    /// ``ElectionSettings/standAside`` when no other candidate comes. Does nothing when it does not lead.
    ///
    /// Returns when the leadership has ended. Called by the body itself, it returns at once.
    func cede() async

    /// The current leadership; `nil` while this candidate does not lead.
    var leadership: Leadership? { get }

    /// What happens to this candidate from now on. A reader that does not keep up misses the oldest events.
    var events: AsyncStream<ElectionEvent> { get }

    /// Who leads: first as it is now, then at every change; `nil` while no leader is known.
    ///
    /// This need not be a candidate. What can be known depends on the broker.
    func observe() -> AsyncThrowingStream<Leader?, any Error>
}

extension Election {
    /// Campaigns until elected, without a limit.
    public func campaign() async throws(LockError) -> Leadership { try await campaign(within: nil) }
}

/// Who leads, as far as others can see.
public struct Leader: Hashable, Sendable {
    /// Who it is, as configured there.
    public let owner: String
    /// The number of its leadership.
    public let fencingToken: FencingToken
    /// Since when, by its own wall clock, in milliseconds since 1970; `nil` if the broker does not report it.
    public let since: Int64?
    /// Whether it answered when it was last asked. A leader that does not may be stopped or cut off, and leads as long
    /// as no one else can.
    public let isAnswering: Bool

    package init(owner: String, fencingToken: FencingToken, since: Int64? = nil, isAnswering: Bool = true) {
        self.owner = owner
        self.fencingToken = fencingToken
        self.since = since
        self.isAnswering = isAnswering
    }
}
