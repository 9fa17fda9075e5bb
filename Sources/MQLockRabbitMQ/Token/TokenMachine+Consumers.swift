extension TokenMachine {
    /// Our consumers on the token's queue: one for each wait in the broker's line.
    ///
    /// Only a consumer that the broker has confirmed may be cancelled. A cancel that overtakes the confirmation of its
    /// consume kills the channel's process on the broker, and with it the connection (541, seen on 3.10.8: the
    /// confirmation comes from the quorum queue as a message of its own and finds no consumer).
    struct Consumers: Sendable {
        private var last: UInt64 = 0
        private var unconfirmed: Set<UInt64> = []
        /// What to do at the confirmation: cancel the consumer, and return its delivery, if any.
        private var deferred: [UInt64: UInt64?] = [:]

        /// - Returns: the tag of the new consumer.
        mutating func add() -> UInt64 {
            last += 1
            unconfirmed.insert(last)
            return last
        }

        /// Cancels a consumer, then returns its delivery. In the other order the token would be delivered to it again.
        mutating func cancel(_ tag: UInt64, putBack delivery: UInt64?) -> [Action] {
            guard !unconfirmed.contains(tag) else {
                deferred[tag] = .some(delivery)
                return []
            }
            return [.cancel(tag)] + (delivery.map { [.putBack($0)] } ?? [])
        }

        mutating func confirmed(_ tag: UInt64) -> [Action] {
            unconfirmed.remove(tag)
            guard let delivery = deferred.removeValue(forKey: tag) else { return [] }
            return cancel(tag, putBack: delivery)
        }

        /// The consumers ended with their channel.
        mutating func forget() { (unconfirmed, deferred) = ([], [:]) }
    }
}
