/// What others can see of one name in one session.
struct Visibility {
    enum Mark { case unseen, candidate, visible }

    /// When the current contender, or the last one, came.
    var since = ContinuousClock.now
    var mark = Mark.unseen
    /// How many contenders have come since the last check.
    var touches = 0
}

extension BrokerLock {
    /// Whether there is a contender to show, or was a moment ago.
    var isContended: Bool { tenure != nil || contender != nil }
}
