import MQLock

/// The stay of a lock in this process, from the broker's grant until it goes back to the broker: when a released lock
/// is kept for the next local contender, and when that contender may have it.
///
/// A pure value: no lock, no clock, no lease. The rules are described in the article *Sticky locks*.
struct Stay: Equatable, Sendable {
    /// Each case says where it can go.
    enum State: Equatable, Sendable {
        /// A lease is out. To `kept`, `over`.
        case held
        /// Released and still here: nobody holds it. To `held`, `over`.
        case kept
        /// The lock goes back to the broker, or is lost.
        case over
    }

    enum Release: Equatable, Sendable {
        /// It stays for the next local contender.
        /// - Parameter end: when it has to go back, if this is the first time that it stays.
        case keep(until: CompactInstant?)
        /// It goes back to the broker.
        case goBack
    }

    private(set) var state = State.held
    /// How many leases were granted locally, on top of the broker's own.
    private(set) var localGrants: UInt64 = 0
    private let length: Duration
    /// Whether it may still be kept.
    private var isOpen: Bool
    /// Fixed at the first release: all of the stay ends then, however often the lock is acquired meanwhile.
    private var end: CompactInstant?

    /// The low five bits of a fencing token, one for each local grant.
    static let maximumLocalGrants = TokenNumber.step - 1

    /// Whether this process was the last to have the lock before the broker granted it again: then whoever waits for it has
    /// come after us, so its want reaches us †.
    /// - Parameter last: the token of the broker's last grant to this process.
    static func continues(_ last: FencingToken?, with token: FencingToken) -> Bool {
        last.map { $0.rawValue + TokenNumber.step == token.rawValue } ?? false
    }

    /// - Parameter length: how long it stays after the first release; zero: not at all.
    init(length: Duration) {
        self.length = length
        isOpen = length > .zero
    }

    /// The holder has released the lock.
    mutating func release(at now: CompactInstant) -> Release {
        guard state == .held else { return .goBack }
        let isFirst = end == nil
        let end = end ?? now.after(length)
        guard isOpen, localGrants < Self.maximumLocalGrants, now < end else {
            state = .over
            return .goBack
        }
        (state, self.end) = (.kept, end)
        return .keep(until: isFirst ? end : nil)
    }

    /// A local contender wants the lock.
    /// - Parameter isProven: whether the broker cannot have given it to anyone else.
    /// - Returns: what to add to the fencing token of the broker's grant; nil when the contender has to ask the broker.
    mutating func take(at now: CompactInstant, isProven: Bool) -> UInt64? {
        guard state == .kept, isProven, let end, now < end else { return nil }
        state = .held
        localGrants += 1
        return localGrants
    }

    /// The lock has to go back as soon as nobody holds it.
    /// - Returns: whether that is now.
    mutating func close() -> Bool {
        isOpen = false
        guard state == .kept else { return false }
        state = .over
        return true
    }

    /// The lock is lost, or has gone back.
    mutating func finish() {
        isOpen = false
        state = .over
    }
}
