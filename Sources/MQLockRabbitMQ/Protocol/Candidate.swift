/// A contender that a queue with a single active consumer serves: it puts a number into the queue that is above all that
/// are there, and knows so when its own message has come back to it.
///
/// A pure value, shared by the single active consumer, whose lock this is, and by the fencing register of the exclusive
/// queue. What the steps have to be like, and why, is in the article *The single active consumer*.
struct Candidate: Equatable, Sendable {
    /// A token that was delivered to us and is not acknowledged.
    struct Token: Equatable, Sendable {
        let delivery: UInt64
        let number: UInt64
        let nonce: Nonce

        /// Of two of the same number all contenders have to prefer the same †: of two that each keep the one which the other
        /// acknowledges, neither would be left.
        func isAbove(_ other: Token) -> Bool {
            number == other.number ? nonce.description > other.nonce.description : number > other.number
        }
    }

    /// The latest token that we have published on this channel.
    struct Publication: Equatable, Sendable {
        let nonce: Nonce
        let number: UInt64
        var isConfirmed = false
        var delivery: UInt64?

        /// The token, once it is confirmed and delivered: until then it may be on the way or lost.
        var settled: Token? {
            guard isConfirmed, let delivery else { return nil }
            return Token(delivery: delivery, number: number, nonce: nonce)
        }
    }

    /// What follows from an event, in this order.
    enum Step: Equatable, Sendable {
        case acknowledge(UInt64)
        /// Publishes a token above this number with a fresh nonce.
        case publish(above: UInt64)
        /// A token that we have came a second time: in between we were not the active consumer, and nothing that we think we
        /// have is ours.
        case displaced
        /// Our own token is the largest, and stays unacknowledged.
        case won(Token)
    }

    /// Ways to break the steps, each of which the tests have to notice.
    enum Mutant: Sendable {
        /// Keeps every token of the largest number.
        case keepsTies
        /// Acknowledges the largest token before the own one is confirmed and delivered.
        case keepsNothing
        case grantsOnTie
        case grantsRedelivered
    }

    /// Of all others' tokens that were delivered since the channel was opened, one with the largest number.
    private(set) var kept: Token
    /// Nil until it is published, and while a failed publish waits to be repeated.
    private(set) var own: Publication?
    private var mayWin: Bool
    private let mutant: Mutant?

    /// - Parameters:
    ///   - first: the first token that was delivered.
    ///   - mayWin: whether nothing else has to happen before; see `letWin`.
    init(_ first: Token, mayWin: Bool = true, mutant: Mutant? = nil) {
        kept = first
        self.mayWin = mayWin
        self.mutant = mutant
    }

    /// What follows from the first token.
    var firstSteps: [Step] {
        let early: [Step] = mutant == .keepsNothing ? [.acknowledge(kept.delivery)] : []
        return early + [.publish(above: kept.number)]
    }

    mutating func received(_ token: Token, redelivered: Bool) -> [Step] {
        // To acknowledge it would leave the queue without the largest number †.
        if token.nonce == kept.nonce { return [.displaced] }
        guard own?.nonce == token.nonce else { return compare(token) + settle() }
        if redelivered, mutant != .grantsRedelivered { return [.displaced] }
        own?.delivery = token.delivery
        return settle()
    }

    mutating func published(_ number: UInt64, _ nonce: Nonce) { own = Publication(nonce: nonce, number: number) }

    mutating func confirmed(_ nonce: Nonce) -> [Step] {
        guard own?.nonce == nonce else { return [] }
        own?.isConfirmed = true
        return settle()
    }

    /// Our token is not in the queue, or nobody knows: another is to be published, a little later. Nil when it is about an
    /// earlier one.
    mutating func unconfirmed(_ nonce: Nonce) -> [Step]? { own?.nonce == nonce ? disown() : nil }

    mutating func letWin() -> [Step] {
        mayWin = true
        return settle()
    }

    /// Publishes again what did not arrive.
    var retry: [Step] { own == nil ? [.publish(above: kept.number)] : [] }

    /// Wins when our own token is in the queue, came to us, and is strictly larger than every other †; publishes a larger
    /// one when it has been reached.
    private mutating func settle() -> [Step] {
        guard let own else { return [] }
        let least = mutant == .grantsOnTie ? kept.number : kept.number + 1
        guard own.number >= least else { return disown() + [.publish(above: kept.number)] }
        guard mayWin, let token = own.settled else { return [] }
        let rest: [Step] = mutant == .keepsNothing ? [] : [.acknowledge(kept.delivery)]
        return rest + [.won(token)]
    }

    /// Keeps the larger of this token and the kept one, and acknowledges the other; of equals too, or the prefetch
    /// would fill up with them and never let our own token in †.
    private mutating func compare(_ token: Token) -> [Step] {
        if token.number == kept.number, mutant == .keepsTies { return [] }
        guard token.isAbove(kept) else { return [.acknowledge(token.delivery)] }
        let smaller = kept
        kept = token
        return mutant == .keepsNothing ? [.acknowledge(token.delivery)] : [.acknowledge(smaller.delivery)]
    }

    /// Our token is no longer the one that counts: if it is here, it is one among the others.
    private mutating func disown() -> [Step] {
        guard let own else { return [] }
        self.own = nil
        guard let delivery = own.delivery else { return [] }
        return compare(Token(delivery: delivery, number: own.number, nonce: own.nonce))
    }
}
