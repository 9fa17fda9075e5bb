/// What holders of locks saw, recorded for a ``HistoryChecker`` to judge afterwards.
///
/// A history is a bag of events from one or many processes on one machine. Their order is that of their instants, all
/// of one clock (``HistoryClock``); if two are equal, the order in which they are given counts.
public enum History {}

extension History {
    /// Something that one contender, or the program that runs the experiment, saw.
    public struct Event: Hashable, Sendable {
        /// When, in nanoseconds of ``HistoryClock``.
        public var at: UInt64
        /// Which process it is about; for ``Kind/brokerDown`` and ``Kind/brokerUp``, which broker.
        public var process: String
        /// Which contender of that process: holds at most one grant of a name at a time. Empty where the event is
        /// about the process as a whole.
        public var contender: String
        /// The lock's name; empty where the event is about no lock in particular.
        public var name: String
        /// What was seen.
        public var kind: Kind

        /// Makes an event; `contender` and `name` stay empty for events about a process or a broker.
        public init(at: UInt64, process: String, contender: String = "", name: String = "", kind: Kind) {
            self.at = at
            self.process = process
            self.contender = contender
            self.name = name
            self.kind = kind
        }
    }

    /// What can be seen.
    public enum Kind: Hashable, Sendable {
        /// The contender stands in line from now on.
        case waiting
        /// The lock was granted; the event's instant is that of the grant.
        case granted(token: UInt64)
        /// The contender no longer holds the lock. The lease stopped being valid locally at `validUntil`, in
        /// nanoseconds of ``HistoryClock``: never after the event's own instant, and before it if no one could notice
        /// at once, as in a process that was stopped.
        case ended(cause: EndCause, validUntil: UInt64)
        /// The contender left the line without the lock: cancelled, timed out, or an error.
        case gaveUp
        /// The contender tried to write to a resource, which accepted or refused its token. Record it while no one else
        /// can write (inside `withAdmission` of a `FenceGate`): the order of accepted writes is judged.
        case wrote(token: UInt64, accepted: Bool, resource: String)
        /// The process can act no more. Record the instant just before the kill: a broker may hand the lock to someone
        /// else before the parent is notified of the death.
        case processDied
        /// The process was stopped, as by SIGSTOP.
        case processStopped
        /// The process continues. Record the instant just before the signal.
        case processContinued
        /// The broker, named by the event's process, serves no one from now on.
        case brokerDown
        /// The broker, named by the event's process, serves again.
        case brokerUp
    }

    /// How a hold ended.
    public enum EndCause: Hashable, Sendable {
        /// The holder released the lock.
        case released
        /// The lease was lost, for the reason given in words.
        case lost(String)
    }
}
