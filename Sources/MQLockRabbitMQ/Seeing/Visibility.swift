/// What is to be seen of one name in one session.
struct Visibility {
    enum Mark { case unseen, candidate, visible }

    /// When the contender of now, or the last one, came.
    var since = ContinuousClock.now
    var mark = Mark.unseen
    /// How many contenders have come since somebody last looked.
    var touches = 0
}

extension BrokerLock {
    /// Whether there is somebody to be seen.
    var isContended: Bool { record != nil || contender != nil }
}
