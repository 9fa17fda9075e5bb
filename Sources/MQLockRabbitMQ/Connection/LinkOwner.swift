/// What a channel's owner receives: whatever the broker sends on it, as long as it is open. The last is `channelClosed`,
/// when the broker closes it; after a `close` of ours nothing comes any more.
protocol ChannelHandler: AnyObject {
    func received(_ inbound: Inbound, on channel: Channel)
}

/// Whom a link tells what is not one channel's.
protocol LinkOwner: AnyObject {
    /// The connection is gone, and with it every channel: none of them is notified.
    func linkEnded(_ failure: ConnectionFailure)
    /// The broker has stopped to read what is published on this connection, and says why; nil: it reads again.
    func linkBlocked(_ reason: String?)
}
