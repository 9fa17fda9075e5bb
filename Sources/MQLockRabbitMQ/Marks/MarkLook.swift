import MQLock

/// All that is in the queue of a lock's marks, in the order in which it came: what counts of it, and what can go. A pure value.
///
/// A message that is only put back keeps its place in the queue's log, and the broker keeps all of the log behind it. So marks
/// at which many have looked are *written anew*: copies go to the end of the queue, and then the old ones are acknowledged.
/// Others may have put their looks there meanwhile, and would see no mark before them. So their looks are copied behind the
/// copies of the marks, too, and go before the old marks do.
struct MarkLook {
    let own = LookMessage()
    private var kept: [Kept] = []
    private(set) var superfluous: [UInt64] = []
    /// Of others, who are yet to come.
    private var looks: [(tag: UInt64, look: LookMessage)] = []
    private var isOver = false
    private var isCopied = false
    /// How many marks have been copied, and which of the last copies have not come yet.
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
        /// Our own look has come: whatever had been confirmed before it was sent has come, too.
        case seen
        /// The copies have come, and marks that are new between them: these are to be copied, too.
        case late
        /// The last of the copies has come, and so has all that was there before it.
        case copied
    }

    /// How often a message of somebody who looks is put back. Who finds that it is gone sends another.
    static let patience: Int64 = 256
    /// After how many looks marks are written anew.
    static let wear: Int64 = 500

    var marks: [DoneMark] { kept.map(\.mark) }
    var isWorn: Bool { kept.contains { $0.returns >= Self.wear } }

    mutating func received(_ delivery: Delivery) -> Step {
        // What comes behind the copies stays there: it may be a copy of what came before them.
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
            // What nobody of ours has sent would be there for ever, and so would the look of one who came no further.
            superfluous.append(delivery.deliveryTag)
        }
        return .more
    }

    private mutating func keep(_ mark: DoneMark, _ delivery: Delivery) {
        // Written twice by somebody who did not hear the confirm, or died while writing marks anew.
        guard !kept.contains(where: { $0.mark == mark }) else { return superfluous.append(delivery.deliveryTag) }
        kept.append(
            Kept(tag: delivery.deliveryTag, mark: mark, returns: BrokerBehavior.returns(of: delivery.properties)))
        // By the tokens: the places are no longer those of the writing when somebody has died while writing marks anew. What
        // comes behind our look is put back, unless it is copied.
        guard !isOver, kept.count > DoneMark.kept,
            let oldest = kept.indices.min(by: { kept[$0].mark.fencingToken < kept[$1].mark.fencingToken })
        else { return }
        superfluous.append(kept.remove(at: oldest).tag)
    }

    /// Copies of the marks that have none yet, in their order.
    mutating func copies() -> [MarkMessage] {
        let copies = kept.dropFirst(copied).map { MarkMessage($0.mark) }
        (awaited, copied) = (Set(copies.map(\.nonce)), kept.count)
        return copies
    }

    /// Copies of the looks that came before the last copy of a mark.
    var copiesOfLooks: [LookMessage] { looks.map(\.look) }

    /// What can go when all copies are there: in this order, so that whoever looks after our death in between sees all marks.
    var originals: [UInt64] { looks.map(\.tag) + kept.map(\.tag) }
}
