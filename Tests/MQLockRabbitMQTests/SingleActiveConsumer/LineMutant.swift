/// A sentence of the protocol, broken in the world around the machine: in what it is told, in what is done of what it says,
/// or in what the broker does.
enum LineMutant: CaseIterable {
    /// The fence is the number alone.
    case ignoresTheCount
    /// Granted is the largest fence that was delivered, not the first.
    case grantsTheLargest
    /// Granted is the fence of the token that was exchanged for the first.
    case grantsTheExchanged
    /// Leaving begins with basic.cancel.
    case cancelsFirst
    /// What returns goes behind all that is ready.
    case returnsBehind
    /// One of the contenders has a smaller prefetch.
    case differsInPrefetch
    /// The hold is renewed by putting the token back.
    case nacksTheToken
    /// The old token is acknowledged when the new one is published.
    case acknowledgesEarly
    /// The number is taken for raised when the old token's acknowledgement has been sent.
    case believesTheAcknowledgement
    /// A client publishes with the same nonce each time.
    case reusesNonce
    /// Somebody else's returned token is taken for a lost place.
    case suspects
    /// Nothing is acknowledged.
    case acknowledgesNothing
    /// A token that shows that the place is lost is acknowledged.
    case acknowledgesTheOwnToken
    /// The first token is forgotten with its exchange.
    case forgetsTheFirstToken
    /// A fresh token does not say after which grant it was published.
    case saysNothingOfItsGrant
    /// A queue that may not have started is consumed.
    case consumesAtOnce
    case neverSeeds
    /// A want that is heard is not remembered.
    case forgetsWants
    /// A lock is kept that somebody else had since this process.
    case keepsAnyGrant
    /// The want is sent before the place in line is confirmed.
    case wantsTooEarly
    /// Wants are lost, and the stay of a lock has no end.
    case keepsForEver
    /// A lock is kept that the session does not prove any more.
    case keepsPastTheProof
    /// The local grants of one grant have the same fence.
    case repeatsTheFence

    /// Whether it is about locks that are kept after their release.
    var sticks: Bool {
        switch self {
        case .forgetsWants, .keepsAnyGrant, .wantsTooEarly, .keepsForEver, .keepsPastTheProof, .repeatsTheFence: true
        default: false
        }
    }

    /// Whether a token is acknowledged that may be the lock's by now.
    var acknowledgesTheLock: Bool {
        switch self {
        case .acknowledgesTheOwnToken, .forgetsTheFirstToken: true
        default: false
        }
    }

    /// What it has to be found by.
    var finding: LineWorld.Violation.Kind {
        switch self {
        case .forgetsWants, .keepsAnyGrant, .wantsTooEarly: .want
        case .keepsForEver: .stuck
        case .ignoresTheCount, .grantsTheLargest, .grantsTheExchanged, .cancelsFirst, .returnsBehind,
            .differsInPrefetch,
            .nacksTheToken, .acknowledgesEarly, .acknowledgesTheOwnToken, .forgetsTheFirstToken, .keepsPastTheProof,
            .repeatsTheFence:
            .order
        case .saysNothingOfItsGrant: .proof
        case .believesTheAcknowledgement: .raise
        case .reusesNonce, .suspects: .loss
        case .acknowledgesNothing: .surplus
        case .consumesAtOnce: .early
        case .neverSeeds: .stuck
        }
    }

    /// One that finds it, where few do.
    var knownSeed: UInt64? {
        switch self {
        case .believesTheAcknowledgement: 17_752_654_898_645_357_335
        case .forgetsTheFirstToken: 1_036_833_365_066_987_985
        case .saysNothingOfItsGrant: 2_868_892_589_311_359_312
        case .grantsTheExchanged: 4_967_536_260_272_591_394
        case .keepsAnyGrant: 9_432_664_175_534_208_262
        case .wantsTooEarly: 5_222_227_699_260_522_981
        default: nil
        }
    }

    /// The least that it takes.
    var faults: LineWorld.Faults {
        switch self {
        case .acknowledgesTheOwnToken, .saysNothingOfItsGrant, .forgetsTheFirstToken:
            [.cuts, .latePublishes]
        case .forgetsWants, .keepsAnyGrant, .wantsTooEarly, .keepsForEver, .repeatsTheFence: []
        case .keepsPastTheProof: .disconnects
        case .ignoresTheCount, .cancelsFirst, .suspects, .acknowledgesNothing, .consumesAtOnce, .neverSeeds: []
        // In an alarm nothing is waited for before a grant.
        case .believesTheAcknowledgement: [.disconnects, .latePublishes]
        case .grantsTheExchanged: [.disconnects, .latePublishes, .alarms]
        default: [.latePublishes]
        }
    }
}
