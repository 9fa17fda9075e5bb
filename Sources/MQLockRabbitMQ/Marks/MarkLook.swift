import MQLock

/// The messages in the queue of a lock's marks, in order of arrival: which of them count, and which can go. A pure
/// value.
///
/// A message that is only put back keeps its place in the queue's log, and the broker keeps all of the log behind it.
/// So marks that have been looked at often are *rewritten*: copies go to the end of the queue, and then the old ones
/// are acknowledged. Other contenders may have put their looks there meanwhile, and would see no mark before them. So
/// their looks are copied behind the copies of the marks, too, and are acknowledged before the old marks.
struct MarkLook {
    let own = LookMessage()
    private var kept: [Kept] = []
    private(set) var superfluous: [UInt64] = []
    /// Looks of other contenders, which are still waiting.
    private var looks: [(tag: UInt64, look: LookMessage)] = []
    private var isOver = false
    private var isCopied = false
    /// How many marks have been copied, and which of the last copies have not arrived yet.
    private var copied = 0
    private var awaited: Set<Nonce> = []

    private struct Kept {
        let tag: UInt64
        let mark: DoneMark
        let returns: Int64
    }

    enum Step: Equatable {
        /// There is more to come.
        case more
        /// Our own look has arrived, and so has everything that was confirmed before it was sent.
        case seen
        /// The copies have arrived, and new marks between them, which have to be copied, too.
        case late
        /// The last of the copies has arrived, and so has everything before it.
        case copied
    }

    /// How often a look is put back. A contender that finds its look gone sends another.
    static let patience: Int64 = 256
    /// The number of looks after which marks are rewritten.
    static let wear: Int64 = 500

    var marks: [DoneMark] { kept.map(\.mark) }
    var isWorn: Bool { kept.contains { $0.returns >= Self.wear } }

    mutating func received(_ delivery: Delivery) -> Step {
        // What comes after the copies stays there: it may be a copy of what came before them.
        guard !isCopied else { return .more }
        if let message = MarkMessage(delivery) {
            guard awaited.remove(message.nonce) == nil else {
                guard awaited.isEmpty else { return .more }
                isCopied = copied == kept.count
                return isCopied ? .copied : .late
            }
            keep(message.mark, delivery)
            return .more
        }
        let look = LookMessage(delivery)
        if look == own, !isOver {
            isOver = true
            superfluous.append(delivery.deliveryTag)
            return .seen
        }
        if let look, look != own, BrokerBehavior.returns(of: delivery.properties) < Self.patience {
            looks.append((delivery.deliveryTag, look))
        } else {
            // Otherwise a foreign message would stay until the queue is deleted, and so would the look of a contender
            // that crashed.
            superfluous.append(delivery.deliveryTag)
        }
        return .more
    }

    private mutating func keep(_ mark: DoneMark, _ delivery: Delivery) {
        // Written twice by a contender that did not get the confirm, or died while rewriting marks.
        guard !kept.contains(where: { $0.mark == mark }) else { return superfluous.append(delivery.deliveryTag) }
        kept.append(
            Kept(tag: delivery.deliveryTag, mark: mark, returns: BrokerBehavior.returns(of: delivery.properties)))
        // Sorted by token: after a contender has died while rewriting marks, the order in the queue is no longer that
        // of the writing. What comes after our look is put back, unless it is copied.
        guard !isOver, kept.count > DoneMark.kept,
            let oldest = kept.indices.min(by: { kept[$0].mark.fencingToken < kept[$1].mark.fencingToken })
        else { return }
        superfluous.append(kept.remove(at: oldest).tag)
    }

    /// Copies of the marks that have no copy yet, in their order.
    mutating func copies() -> [MarkMessage] {
        let copies = kept.dropFirst(copied).map { MarkMessage($0.mark) }
        (awaited, copied) = (Set(copies.map(\.nonce)), kept.count)
        return copies
    }

    /// Copies of the looks that came before the last copy of a mark.
    var copiesOfLooks: [LookMessage] { looks.map(\.look) }

    /// What can go when all copies are there. The order matters: if we die in between, the next look still sees all
    /// marks.
    var originals: [UInt64] { looks.map(\.tag) + kept.map(\.tag) }
}
