import MQLock

/// A contender's number, unique in the session.
typealias Attempt = UInt64

/// What a mutex does on the broker for one name in one session: the part of a name that differs between the mutexes.
///
/// The driver is told what contenders want and tells its `NameEntry` what became of it: `grant`, `answer`, `lose`. It
/// serves one contender at a time (local arbitration sees to that) but may still be cleaning up after the last one.
protocol NameDriver: AnyObject {
    /// Whether the name could be forgotten without anybody noticing.
    var isQuiet: Bool { get }
    /// Whether the next contender has to find out or make first what there is on the broker; few names do at once. The
    /// driver tells `LockNames.contactEnded` when that is over.
    var needsContact: Bool { get }
    func contend(_ attempt: Attempt, waits: Bool)
    /// The contender was cancelled or its deadline passed; it has had its answer.
    func abandon(_ attempt: Attempt)
    /// The hold has ended by its holder's will, or because it may last no longer.
    func release()
    /// Gives the channel back; the name is quiet.
    func close()
}

/// The channel of one name on the lock connection, as long as there is one.
struct NameChannel {
    private unowned let core: SessionCore
    private(set) var number: UInt16?

    init(_ core: SessionCore) { self.core = core }

    /// Opens the channel with this prefetch; false when the broker allows no more.
    mutating func open(for handler: any ChannelHandler, prefetch: UInt16) -> Bool {
        number = core.openChannel(for: handler)
        write { connection, channel throws(ConnectionFailure) in
            try connection.basicQos(channel, prefetch: prefetch)
        }
        return number != nil
    }

    mutating func close() {
        if let number { core.closeChannel(number) }
        number = nil
    }

    /// The broker has closed it.
    mutating func forget() { number = nil }

    /// Writes a request that the broker has to answer in time; nothing without a channel.
    func request(_ body: (AMQPConnection, UInt16) throws(ConnectionFailure) -> Void) {
        guard let number else { return }
        core.request(on: number) { connection throws(ConnectionFailure) in try body(connection, number) }
    }

    /// Writes what has no answer.
    func write(_ body: (AMQPConnection, UInt16) throws(ConnectionFailure) -> Void) {
        guard let number else { return }
        core.perform { connection throws(ConnectionFailure) in try body(connection, number) }
    }

    func acknowledge(_ delivery: UInt64) {
        write { connection, channel throws(ConnectionFailure) in
            try connection.basicAck(channel, deliveryTag: delivery, multiple: false)
        }
    }
}
