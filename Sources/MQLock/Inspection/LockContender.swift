/// What a contender answers about itself when asked.
///
/// Every text comes from the contender's program: escape it for display, and decide nothing by it.
public struct LockContender: Hashable, Sendable {
    /// Holder or waiter.
    public enum Role: String, Hashable, Sendable {
        /// Holds the lock.
        case holder
        /// Stands in line.
        case waiter
    }

    /// Holder or waiter.
    public package(set) var role: Role
    /// Its session with the broker, 32 hexadecimal digits, different from every other.
    public package(set) var session: String
    /// Who it is, as configured.
    public package(set) var owner: String
    /// The machine that it runs on, by the name that the machine calls itself. Empty on Kafka, where the log describes
    /// contenders in their place: their process, their connection and the start of a waiter's wait are not known
    /// either.
    public package(set) var host: String
    /// The id of its process there.
    public package(set) var process: Int32
    /// Which mutex it uses.
    public package(set) var mutex: String
    /// For how long it has held or waited, by its own monotonic clock.
    public package(set) var duration: Duration
    /// Since when, by its own wall clock, in milliseconds since 1970.
    public package(set) var since: Int64
    /// The holder's fencing token.
    public package(set) var fencingToken: FencingToken?
    /// What the holder says about its hold: ``Lease/setInfo(_:)``.
    public package(set) var info: String?
    /// Its place in line, 1 for the next, if the mutex lets a waiter know.
    public package(set) var place: Int?
    /// The name of the connection that carries its locks, as operators see it at the broker.
    public package(set) var connection: String
    /// The user as which it is logged in at the broker, which has validated it: the only field that no one else can
    /// claim. Nil when the contender does not say, as with SASL EXTERNAL.
    public package(set) var user: String?

    package init(
        role: Role, session: String, owner: String, host: String, process: Int32, mutex: String, duration: Duration,
        since: Int64, fencingToken: FencingToken? = nil, place: Int? = nil, connection: String,
        user: String? = nil, info: String? = nil
    ) {
        self.role = role
        self.session = session
        self.owner = owner
        self.host = host
        self.process = process
        self.mutex = mutex
        self.duration = duration
        self.since = since
        self.fencingToken = fencingToken
        self.place = place
        self.connection = connection
        self.user = user
        self.info = info
    }

    /// The sender of an answer. Anyone can claim a session; no one can claim another user.
    package struct Speaker: Hashable, Sendable {
        package let session: String
        package let user: String?

        package init(session: String, user: String?) { (self.session, self.user) = (session, user) }
    }

    /// Whether a log reports it, and it did not answer itself.
    package private(set) var isLogged = false

    /// A contender as a log describes it: with its session, its owner and its place.
    /// - Parameter hold: the token, and since when it is held, in milliseconds since 1970; nil for a waiter.
    package init(
        logged session: String, owner: String, mutex: String, place: Int?, hold: (token: FencingToken, since: Int64)?,
        now: Int64
    ) {
        self.init(
            role: hold == nil ? .waiter : .holder, session: session, owner: owner, host: "", process: 0, mutex: mutex,
            duration: .milliseconds(hold.map { max(0, now - $0.since) } ?? 0), since: hold?.since ?? 0,
            fencingToken: hold?.token, place: place, connection: "")
        isLogged = true
    }

    package var speaker: Speaker { Speaker(session: session, user: user) }
}

/// Who holds a lock and who waits for it, as far as they have answered.
///
/// Anyone who may publish to the broker's exchange for questions can answer, also with lies: compare
/// ``LockContender/user``, which the broker has validated, and what the broker itself reports. On Kafka all is in the
/// log, and anyone who may write to the topic can add to it.
public struct LockView: Hashable, Sendable {
    /// Which lock.
    public package(set) var name: LockName
    /// Contenders that say that they hold the lock. There is more than one only while it changes hands, or if the
    /// broker has granted it twice; the largest token is first.
    public package(set) var holders: [LockContender]
    /// Who waits, the longest first: first come, first served.
    public package(set) var waiters: [LockContender]
    /// What the broker itself reports.
    public package(set) var queue: QueueView

    package init(name: LockName, contenders: [LockContender], queue: QueueView) {
        self.name = name
        self.queue = queue
        holders = contenders.filter { $0.role == .holder }
            .sorted { ($0.fencingToken?.rawValue ?? 0) > ($1.fencingToken?.rawValue ?? 0) }
        waiters = contenders.filter { $0.role == .waiter }
            .sorted { ($0.place ?? .max, -$0.duration.nanoseconds) < ($1.place ?? .max, -$1.duration.nanoseconds) }
    }

    /// What the broker reports about the queue that is the lock.
    public enum QueueView: Hashable, Sendable {
        /// There is none: the lock has not been used, or not for long.
        case missing
        /// It is exclusive to another connection: held.
        case exclusive
        /// This many messages that no one has, and this many consumers.
        case counted(messages: Int, consumers: Int)
        /// The lock is one message, and no one else can have it now.
        case taken
        /// There is none: a log describes every holder and waiter, and a contender that is not in it does not exist.
        case log
        /// The broker did not answer, or does not let us ask.
        case unknown

        /// Whether no one is there who could hold the lock, as far as the broker can tell.
        package var isFree: Bool {
            switch self {
            case .missing, .log: true
            case .counted(_, let consumers): consumers == 0
            case .exclusive, .taken, .unknown: false
            }
        }
    }

    /// The conclusion from all of this.
    public enum State: String, Hashable, Sendable {
        /// A holder has answered.
        case held
        /// There is no answer, but at the broker a contender holds the lock or waits for it: a holder that is stopped
        /// or cut off, that began a moment ago, or that does not listen.
        case silent
        /// No one holds it, as far as can be seen.
        case free
        /// No holder has answered, and the broker's report does not settle it.
        case unclear
    }

    /// Whether the broker reports that no one can hold the lock, whatever the answers say.
    package var isFreeAtBroker: Bool {
        switch queue {
        case .missing: true
        case .counted(let messages, let consumers): messages > 0 && consumers == 0
        case .exclusive, .taken, .log, .unknown: false
        }
    }

    /// Whether no one holds the lock or waits for it, and nothing of it was left behind.
    package var isUnused: Bool { (queue == .missing || queue == .log) && state == .free }

    /// The conclusion from holders, waiters and the broker.
    public var state: State {
        if !holders.isEmpty { return .held }
        if queue.isFree { return waiters.isEmpty ? .free : .unclear }
        // If there is a consumer for a message, the message is on its way to it.
        return queue == .unknown ? .unclear : .silent
    }
}
