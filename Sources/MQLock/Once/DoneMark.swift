/// "Done for this period": kept at the broker beside a lock, so no program does the job again.
public struct DoneMark: Hashable, Sendable {
    /// What became of the job.
    public enum Outcome: String, Hashable, Sendable, CaseIterable {
        /// It is done.
        case completed
        /// It threw an error, and failures were marked, too.
        case failed
    }

    /// What the job was done for: a ``Period``'s text, by whatever version wrote the mark.
    public let period: String
    /// When that part of the calendar began, or the time of that tick of a schedule, in milliseconds since 1970; nil
    /// for other periods.
    public let start: Int64?
    /// When the job began, in milliseconds since 1970 by the clock of its machine.
    public let began: Int64
    /// When the job ended, in milliseconds since 1970 by the clock of its machine.
    public let ended: Int64
    /// Who did it, as configured.
    public let owner: String
    /// The number of the grant under which it was done.
    public let fencingToken: FencingToken
    /// What became of it.
    public let outcome: Outcome
    /// The exit status of its command, if it was one.
    public let exitStatus: Int32?

    /// A mark. Times are from 0 to 2^50 and a status from 0 on; other values are clamped to these bounds.
    public init(
        period: String, start: Int64? = nil, began: Int64, ended: Int64, owner: String, fencingToken: FencingToken,
        outcome: Outcome = .completed, exitStatus: Int32? = nil
    ) {
        (self.period, self.start) = (period, start.map(Occurrence.bounded))
        (self.began, self.ended) = (Occurrence.bounded(began), Occurrence.bounded(ended))
        (self.owner, self.fencingToken, self.outcome) = (owner, fencingToken, outcome)
        self.exitStatus = exitStatus.map { max(0, $0) }
    }

    /// How many marks of a name are kept: the last ones.
    public static let kept = 8
}

extension DoneMark: CustomStringConvertible {
    /// The mark in a line, for display.
    public var description: String {
        let status = exitStatus.map { " with status \($0)" } ?? ""
        return """
            \(outcome.rawValue)\(status) for \(period.escapedForDisplay) by \(owner.escapedForDisplay) at \
            \(WallClock.text(ended)), fence \(fencingToken)
            """
    }
}

extension DoneMark {
    private static let word = "done"

    /// The mark as a text of the protocol, under a number that distinguishes this writing of it from every other.
    package func text(_ nonce: RandomID) -> ControlText {
        var fields = [
            "period": period, "began": String(began), "ended": String(ended), "owner": owner,
            "fence": fencingToken.description, "outcome": outcome.rawValue,
        ]
        fields["start"] = start.map(String.init)
        fields["status"] = exitStatus.map(String.init)
        return ControlText(Self.word, nonce.description, fields)
    }

    /// Nil for anything that is not a complete mark.
    package init?(_ text: ControlText) {
        func time(_ key: String) -> Int64? { text.number(key, upTo: Occurrence.latest) }
        guard text.word == Self.word, let period = text.fields["period"], !period.isEmpty,
            let began = time("began"), let ended = time("ended"), let owner = text.fields["owner"],
            let token = text.number("fence").flatMap({ FencingToken(rawValue: UInt64($0)) }),
            let outcome = text.fields["outcome"].flatMap(Outcome.init(rawValue:))
        else { return nil }
        let start = time("start")
        let status = text.number("status", upTo: Int64(Int32.max))
        // If a field is there, it has to be complete.
        guard (start == nil) == (text.fields["start"] == nil), (status == nil) == (text.fields["status"] == nil)
        else { return nil }
        self.init(
            period: period, start: start, began: began, ended: ended, owner: owner, fencingToken: token,
            outcome: outcome, exitStatus: status.map { Int32($0) })
    }
}
