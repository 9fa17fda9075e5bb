package import MQLock

#if canImport(Glibc)
import CMQLockRabbitMQ
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A connection for what the command does on a broker besides locking: inspect it, and remove what the command has
/// created there.
///
/// Every call blocks its thread until the broker has answered.
package final class BrokerAdministration {
    /// The version that the broker names; nil when it hides it.
    package let version: String?
    /// Host and port, without user and password.
    package let address: String
    private let vhost: String
    private let timeout: Duration
    private let connection: AMQPConnection

    private static let channel: UInt16 = 1

    /// Connects and logs in.
    /// - Throws: `LockError`: `invalidConfiguration`, `unreachable`, `accessRefused`.
    package init(uri: String, timeout: Duration = .seconds(5)) throws(LockError) {
        do throws(ConnectionFailure) {
            let endpoint = try AMQPURI.parse(uri)
            connection = try AMQPConnection.open(endpoint, timeout: timeout)
            (vhost, address) = (endpoint.vhost, connection.endpoint.address)
        } catch {
            throw LockError(error)
        }
        version = connection.server.version
        self.timeout = timeout
    }

    deinit { connection.close() }

    /// Whether locks work on this version, and whether that has been tested.
    package static func support(of version: String) -> Support {
        guard let version = BrokerVersion(version) else { return .unknown }
        do throws(LockError) { try BrokerBehavior(version).check() } catch { return .refused(error.message) }
        if let fault = BrokerBehavior(version).knownFault { return .faulty(fault) }
        return .supported(testedOn: BrokerBehavior.tested.map(\.description))
    }

    /// The delivery limit in the declarations of lock queues on this version; nil when there is none.
    package static func deliveryLimit(on version: String?) -> Int64? {
        BrokerBehavior(BrokerVersion(announced: version)).deliveryLimit
    }

    package enum Support: Equatable {
        case supported(testedOn: [String])
        /// Supported, but with a broker bug that an upgrade fixes.
        case faulty(String)
        /// Refused, with the reason.
        case refused(String)
        /// The broker hides its version.
        case unknown
    }

    /// Every queue that may exist for these lock names.
    package func queues(of names: [LockName]) throws(LockError) -> [String] {
        var queues: [String] = []
        for name in names { queues += try ObjectNames(name, vhost: vhost).all }
        return queues
    }

    /// Deletes queues with all their messages; queues that do not exist count as deleted.
    /// - Throws: `LockError`: `unreachable` when the connection breaks; else, after all others have been deleted, the
    ///   broker's message about the first queue that it refused to delete.
    package func delete(_ queues: [String]) throws(LockError) {
        do throws(ConnectionFailure) {
            var refusals: [ConnectionFailure] = []
            for queue in queues {
                // Each on its own channel, because a refusal closes the channel.
                try connection.channelOpen(Self.channel)
                try connection.queueDelete(Self.channel, queue)
                if let refusal = try awaitDeletion() { refusals.append(refusal) }
            }
            if let first = refusals.first { throw first }
        } catch {
            throw LockError(error)
        }
    }

    /// Removes a lock that the caller holds. Leaves a lock alone that another contender has created again meanwhile.
    /// - Throws: `LockError`: `unreachable` when the connection breaks, else what the broker refused.
    package func remove(_ name: LockName, _ mutex: RabbitMQLocks.Mutex) throws(LockError) {
        let objects = try ObjectNames(name, vhost: vhost)
        switch mutex {
        case .singleActiveConsumer: try delete([objects.queue])
        // The exclusive queue itself belongs to the holder, and is deleted by its release.
        case .exclusiveQueue: try delete([objects.line])
        case .token:
            try delete([objects.queue])
            try removeRegister(of: objects)
        default: throw LockError(.invalidConfiguration, "locks of another mutex cannot be removed")
        }
    }

    /// Removes the register of a token that is gone, as a mending contender does: alone, and after looking again.
    private func removeRegister(of objects: ObjectNames) throws(LockError) {
        do throws(ConnectionFailure) {
            try connection.channelOpen(Self.channel)
            try connection.queueDeclare(
                Self.channel, objects.mend, exclusive: true, arguments: QueueArguments.mend.pairs)
            // Refused when another contender is mending; then it is that contender's job.
            guard try isDeclared() else { return }
            try connection.queueDeclare(Self.channel, objects.register, passive: true)
            if try isDeclared() {
                try connection.queueDeclare(Self.channel, objects.queue, passive: true)
                if try !isDeclared() {
                    try connection.channelOpen(Self.channel)
                    try connection.queueDelete(Self.channel, objects.register)
                    _ = try awaitDeletion()
                } else {
                    try connection.channelClose(Self.channel)
                    _ = try awaiting { if case .channelCloseOK = $0 { true } else { false } }
                }
            }
            try connection.channelOpen(Self.channel)
            try connection.queueDelete(Self.channel, objects.mend)
            _ = try awaitDeletion()
        } catch {
            throw LockError(error)
        }
    }

    /// False when the broker has refused, and closed the channel.
    private func isDeclared() throws(ConnectionFailure) -> Bool {
        var result: Bool?
        let isAnswered = try awaiting { inbound in
            switch inbound {
            case .queueDeclareOK: result = true
            case .channelClosed: result = false
            default: break
            }
            return result != nil
        }
        guard isAnswered else { throw ConnectionFailure(.timedOut("the broker did not declare a queue in time")) }
        return result == true
    }

    /// What happened to a message that was returned repeatedly.
    package enum Returns: Equatable {
        /// It came back each time, and at once.
        case all
        /// It did not come back after this many returns.
        case lost(after: Int)
        /// It came back this long after the next consumer had asked for it: 4.3 can hold back returned messages.
        case delayed(Duration)
    }

    /// Has the message of a free `token` lock returned `count` times, each time by the end of a channel, as with
    /// crashed holders.
    /// - Throws: `LockError`: `unreachable` when the connection breaks, else what the broker refused.
    package func returns(of name: LockName, times count: Int) throws(LockError) -> Returns {
        let queue = try ObjectNames(name, vhost: vhost).queue
        var delays: [Duration] = []
        do throws(ConnectionFailure) {
            while delays.count <= count {
                try connection.channelOpen(Self.channel)
                try connection.basicConsume(Self.channel, queue)
                var refusal: ConnectionFailure?
                var consumed = ContinuousClock.now
                let isDelivered = try awaiting { inbound in
                    if case .consumeOK = inbound { consumed = .now }
                    if case .channelClosed(_, let code, let text, _, _) = inbound {
                        refusal = .init(.brokerClosed(code: code, text: text))
                        return true
                    }
                    if case .delivery = inbound { return true }
                    return false
                }
                if let refusal { throw refusal }
                let delay = consumed.duration(to: .now)
                try connection.channelClose(Self.channel)
                _ = try awaiting { if case .channelCloseOK = $0 { true } else { false } }
                guard isDelivered else { return .lost(after: delays.count) }
                guard delay <= .seconds(1) else { return .delayed(delay) }
                delays.append(delay)
            }
        } catch {
            throw LockError(error)
        }
        // A delivery leaves the broker with the consume-ok.
        let median = delays.sorted()[count / 2]
        return median > .milliseconds(20) ? .delayed(median) : .all
    }

    /// Whether the queue has the message of a free `token` lock.
    /// - Throws: `LockError`: `unreachable` when the connection breaks.
    package func hasMessage(of name: LockName) throws(LockError) -> Bool {
        let queue = try ObjectNames(name, vhost: vhost).queue
        do throws(ConnectionFailure) {
            try connection.channelOpen(Self.channel)
            try connection.basicGet(Self.channel, queue)
            var isThere: Bool?
            guard
                try awaiting({ inbound in
                    switch inbound {
                    case .gotMessage: isThere = true
                    // The channel is closed if the queue is gone.
                    case .getEmpty, .channelClosed: isThere = false
                    default: break
                    }
                    return isThere != nil
                })
            else { throw ConnectionFailure(.timedOut("the broker did not answer for a queue in time")) }
            return isThere == true
        } catch {
            throw LockError(error)
        }
    }

    /// - Returns: the broker's refusal, if it is one.
    private func awaitDeletion() throws(ConnectionFailure) -> ConnectionFailure? {
        var refusal: ConnectionFailure?
        let isOver = try awaiting { inbound in
            switch inbound {
            case .queueDeleteOK: try? connection.channelClose(Self.channel)
            case .channelCloseOK: return true
            case .channelClosed(_, let code, let text, _, _):
                if code != ChannelFault.notFound { refusal = .init(.brokerClosed(code: code, text: text)) }
                return true
            default: break
            }
            return false
        }
        guard isOver else { throw ConnectionFailure(.timedOut("the broker did not delete a queue in time")) }
        return refusal
    }

    /// Reads until `isLast` returns true; false when that did not happen in time.
    private func awaiting(_ isLast: (Inbound) -> Bool) throws(ConnectionFailure) -> Bool {
        let deadline = ContinuousClock.now.after(timeout)
        var isOver = false
        while true {
            try connection.readAvailable { if isLast($0) { isOver = true } }
            if isOver { return true }
            guard !connection.hasBufferedInput else { continue }
            let left = ContinuousClock.now.duration(to: deadline)
            guard left > .zero else { return false }
            var descriptor = pollfd(fd: connection.socketDescriptor, events: Int16(POLLIN), revents: 0)
            _ = poll(&descriptor, 1, Int32(clamping: left.nanoseconds / 1_000_000 + 1))
        }
    }
}
