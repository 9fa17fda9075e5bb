@testable import MQLockRabbitMQ

/// What RabbitMQ does for the exclusive queue of one name: it belongs to a connection, is refused to all others, and goes
/// some time after that connection has ended.
struct SimulatedExclusiveQueue {
    struct ChannelID: Hashable {
        let client: Int
        let connection: Int
        let number: Int
    }

    enum Frame: Equatable { case open, declare, consume, ask, askWhich, delete, close }

    private var channels: Set<ChannelID> = []
    /// The connection whose the queue is, and the channel on which that consumes it.
    private(set) var owner: Int?
    private var watcher: ChannelID?
    /// Sent and not yet taken by the test.
    var outbox: [(channel: ChannelID, event: Claim.Event)] = []
    /// How often a declaration was refused.
    private(set) var refusals = 0

    mutating func receive(_ frame: Frame, on id: ChannelID) {
        if frame == .open {
            channels.insert(id)
            return
        }
        // Frames that were on their way when the channel was closed are ignored.
        guard channels.contains(id) else { return }
        switch frame {
        case .open: break
        case .declare:
            guard owner == nil || owner == id.connection else {
                refusals += 1
                return close(id, ChannelFault.resourceLocked)
            }
            owner = id.connection
            send(id, .declared)
        case .consume:
            guard owner == id.connection else {
                return close(id, owner == nil ? ChannelFault.notFound : ChannelFault.resourceLocked)
            }
            watcher = id
            send(id, .watching)
        case .ask:
            guard owner == id.connection else {
                return close(id, owner == nil ? ChannelFault.notFound : ChannelFault.resourceLocked)
            }
            send(id, .exists)
        case .askWhich: close(id, ChannelFault.preconditionFailed)
        case .delete:
            guard owner == nil || owner == id.connection else { return close(id, ChannelFault.resourceLocked) }
            free()
            send(id, .deleted)
        case .close: drop(id)
        }
    }

    mutating func drop(_ id: ChannelID) {
        channels.remove(id)
        if watcher == id { watcher = nil }
    }

    mutating func close(_ id: ChannelID, _ code: UInt16) {
        send(id, .channelClosed(ChannelFault(code: code, text: "")))
        drop(id)
    }

    /// The queue of a connection that has ended goes.
    mutating func end(connection: Int) {
        channels = channels.filter { $0.connection != connection }
        if owner == connection { free() }
    }

    /// Deleted, by its owner or somebody else.
    mutating func free() {
        owner = nil
        if let watcher { send(watcher, .cancelledByBroker) }
        watcher = nil
    }

    private mutating func send(_ id: ChannelID, _ event: Claim.Event) {
        if channels.contains(id) { outbox.append((id, event)) }
    }
}
