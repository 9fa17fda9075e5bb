/// A period at a moment: which instance of the period it is.
package struct Occurrence: Sendable {
    package let period: Period
    /// Milliseconds since 1970 by this machine's clock.
    let moment: Int64
    /// When this part of the calendar began, or a tick was; nil for keys and durations.
    let start: Int64?

    /// Later than any clock that shows a time of day.
    static let latest: Int64 = 1 << 50
    /// How far ahead of ours another machine's clock may be.
    static let tolerance: Int64 = 24 * 3600 * 1000

    package init(_ period: Period, at moment: Int64) throws(LockError) {
        self.period = period
        self.moment = Self.bounded(moment)
        switch period.kind {
        case .key, .every: start = nil
        case .calendar(let unit, let zone): start = try unit.start(at: self.moment, zone: zone)
        case .tick(let tick): start = tick
        }
    }

    static func bounded(_ moment: Int64) -> Int64 { min(max(0, moment), latest) }

    /// Whether a mark says that the job has been done for this one.
    func isDone(by mark: DoneMark) -> Bool {
        switch period.kind {
        case .key, .tick: mark.period.utf8.elementsEqual(period.description.utf8)
        case .every(let milliseconds): moment - mark.began < milliseconds
        // Later ones count, too. When clocks differ, one machine is in the next period before another, which must not
        // go back to the period before.
        case .calendar: mark.start ?? mark.began >= start ?? moment
        }
    }

    /// The mark that says so, the newest if there are several; nil when the job is due.
    /// - Throws: ``LockError`` with code ``LockError/Code/invalidConfiguration`` when it depends on a clock that cannot
    ///   decide.
    package func doneMark(among marks: [DoneMark], of name: LockName) throws(LockError) -> DoneMark? {
        let done = marks.filter(isDone(by:)).max { $0.fencingToken < $1.fencingToken }
        switch period.kind {
        case .key: return done
        case .tick(let tick):
            if let done { return done }
            return try markBehind(tick, among: marks, of: name)
        case .every, .calendar:
            for mark in marks { try check(mark, of: name) }
            return done
        }
    }

    /// This many ticks may be marked out of order.
    static let unordered = 3
    /// How far the clocks of two machines differ at most, in milliseconds, when neither is wrong.
    static let apart: Int64 = 60_000

    /// The mark that a tick comes too late for: going by the last marks only, it may have been done before.
    ///
    /// Such a mark is later than the tick. The last three do not count, so a tick that failed elsewhere, or that a
    /// clock which is behind reaches late, can still be done. It stays true that nothing is done twice: a forgotten
    /// mark was one of the last three once, at most three earlier ones could follow then, and a later one is among the
    /// marks that count ever since. A single mark that is far ahead comes from a wrong clock, and does not block the
    /// ticks before it. Several come from right clocks, and it is this machine that is behind.
    private func markBehind(
        _ tick: Int64, among marks: [DoneMark], of name: LockName
    ) throws(LockError) -> DoneMark? {
        let marks = marks.sorted { $0.fencingToken > $1.fencingToken }
        func isLater(_ mark: DoneMark) -> Bool { mark.start ?? 0 >= tick }
        let before = marks.dropFirst(Self.unordered).first { isLater($0) && $0.start ?? 0 <= moment + Self.apart }
        let many = marks.filter(isLater).dropFirst(Self.unordered).first
        guard let mark = before ?? many else { return nil }
        try check(mark, of: name)
        return mark
    }

    private func check(_ mark: DoneMark, of name: LockName) throws(LockError) {
        guard max(mark.began, mark.start ?? 0) > moment + Self.tolerance else { return }
        throw LockError(
            .invalidConfiguration,
            """
            the last mark of \(name), by \(mark.owner.escapedForDisplay), is of \(WallClock.text(mark.began)), more than a \
            day after \(WallClock.text(moment)), the time of this machine: set the clock that is wrong, and if it was the \
            other one, remove the marks of this lock from the broker
            """)
    }
}

extension Occurrence {
    /// The mark to keep at the broker when the job has been done for this one.
    /// - Parameters:
    ///   - began: when the job began, in milliseconds since 1970.
    ///   - ended: when it ended.
    ///   - exitStatus: the exit status, if it was a command.
    package func mark(
        _ outcome: DoneMark.Outcome, by owner: String, under token: FencingToken, began: Int64, ended: Int64,
        exitStatus: Int32? = nil
    ) -> DoneMark {
        DoneMark(
            period: period.description, start: start, began: began, ended: ended, owner: owner, fencingToken: token,
            outcome: outcome, exitStatus: exitStatus)
    }

    /// The name that everyone who does the job for this one uses: the key, or when this part of the calendar began. Nil
    /// for lengths of time, which begin whenever a program comes.
    package var key: String? {
        switch period.kind {
        case .key(let key): key.string
        case .tick: period.description
        case .every: nil
        case .calendar: start.map(WallClock.text)
        }
    }
}
