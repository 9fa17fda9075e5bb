import MQLock

/// What is to be seen of one name in one session.
struct EntryPresence {
    enum Mark { case unseen, candidate, visible }

    /// When the contender of now, or the last one, came.
    var since = ContinuousClock.now
    var mark = Mark.unseen
    /// How many contenders have come since somebody last looked.
    var touches = 0
    /// A lease that is lost because its holder was asked to yield; the broker still has the lock for it, until it has
    /// released.
    private(set) var yielding: LeaseRecord?
    private var timer: TimerID?

    mutating func beginYielding(_ record: LeaseRecord, _ timer: TimerID) {
        yielding = record
        self.timer = timer
    }

    mutating func endYielding(_ loop: EventLoop) {
        if let timer { loop.cancel(timer) }
        timer = nil
        yielding = nil
    }
}

extension NameEntry {
    /// Whether there is somebody to be seen.
    var isContended: Bool { record != nil || contender != nil }

    /// The holder's lease is lost at once. The lock is handed on when the holder has released, for it has to stop first,
    /// or after what was left of its proof: by then whatever guards its work has ended it.
    func yield(_ reason: LossReason) {
        guard let record else { return }
        let timer = core.loop.schedule(at: .now.advanced(by: record.remaining)) { [weak self] in self?.handOn() }
        presence.beginYielding(record, timer)
        record.lose(reason)
        endHold()
    }

    /// Hands on what was kept for a holder that was asked to yield.
    func handOn() {
        guard presence.yielding != nil else { return }
        presence.endYielding(core.loop)
        driver.release()
        _ = unpark()
        names.drainedIfSo()
    }
}
