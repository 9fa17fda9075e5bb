/// Puts messages into a queue and confirms that they are there. Blocks: for a program that does nothing else meanwhile.
public final class Publisher {
    private let address: BrokerAddress
    private let queue: String
    private var connection: BrokerConnection?

    /// Stores the queue's name; no I/O happens before the first message.
    public init(_ address: BrokerAddress, queue: String) {
        self.address = address
        self.queue = queue
    }

    /// Returns when the broker has the message on its disk. Tries again over a new connection, three times in all.
    ///
    /// A message whose confirmation was lost with the connection is then in the queue twice. So the consumer's end has
    /// to know what it has seen.
    public func publish(_ body: [UInt8]) throws {
        for attempt in 1...3 {
            do {
                try connected().publish(body, to: queue)
                return
            } catch {
                connection = nil
                if attempt == 3 { throw error }
            }
        }
    }

    /// Ends the connection.
    public func close() {
        connection?.close()
        connection = nil
    }

    private func connected() throws -> BrokerConnection {
        if let connection { return connection }
        let new = try BrokerConnection(address)
        try new.declare(queue)
        try new.confirmPublishes()
        connection = new
        return new
    }
}
