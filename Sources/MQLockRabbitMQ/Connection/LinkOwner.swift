/// Receives what the broker sends on a channel, as long as it is open. The last event is `channelClosed`, when the
/// broker closes it; after our own `close` nothing follows.
protocol ChannelHandler: AnyObject {
    func received(_ inbound: Inbound, on channel: Channel)
}

/// Receives the events of a link that do not belong to one channel.
protocol LinkOwner: AnyObject {
    /// The connection is gone, and with it every channel: none of them is notified.
    func linkEnded(_ failure: ConnectionFailure)
    /// The broker has stopped reading what is published on this connection, with its reason; nil: it reads again.
    func linkBlocked(_ reason: String?)
}
