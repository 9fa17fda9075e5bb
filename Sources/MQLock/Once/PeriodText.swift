/// Periods as people write them on a command line.
enum PeriodText {
    static let accepted = """
        a time such as 24h, 30m or 1.5h; hour, day, week or month, with a time zone as in day@Europe/Berlin; or a key \
        such as 2026-11-30
        """
    static let keyPrefix = "key:"

    /// Words that people use for parts of the calendar or units of time. Read as a key, one would mean: never again.
    private static let unitWords: Set<String> = [
        "", "us", "ms", "msec", "msecs", "millisecond", "milliseconds", "s", "sec", "secs", "second", "seconds", "m",
        "min",
        "mins", "minute", "minutes", "h", "hr", "hrs", "hour", "hours", "d", "day", "days", "w", "week", "weeks", "mo",
        "mon",
        "month", "months", "q", "quarter", "quarters", "y", "yr", "year", "years",
    ]
    private static let calendarWords: Set<String> = [
        "secondly", "minutely", "hourly", "daily", "today", "nightly", "weekly", "monthly", "quarterly", "yearly",
        "annually",
    ]

    static func parse(_ text: String) throws(LockError) -> Period {
        // By bytes: Swift sees a colon and a combining mark as one character that is not a colon.
        if text.utf8.starts(with: keyPrefix.utf8), let key = String(text.utf8.dropFirst(keyPrefix.utf8.count)) {
            return try .key(key)
        }
        guard !text.isEmpty, text.first?.isWhitespace == false, text.last?.isWhitespace == false else {
            throw refusal(text, "is empty or has blanks at its ends")
        }
        let parts = text.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        if let unit = CalendarUnit(rawValue: parts[0]) {
            return try parts.count == 1 ? Period(.calendar(unit, zone: nil)) : Period.calendar(unit, parts[1])
        }
        let word = parts[0].lowercased()
        if !word.isEmpty, unitWords.contains(word) || calendarWords.contains(word) {
            throw refusal(text, "is no period, and looks too much like one to be a key")
        }
        guard isLikeADuration(text) else { return try .key(text) }
        guard text.last?.isNumber == false, let duration = DurationText.parse(text) else {
            throw refusal(text, "is a time without one of the units ms, s, m and h")
        }
        return try .every(duration)
    }

    /// A number, with or without a sign, and a unit or a word like one; or a duration of ISO 8601.
    private static func isLikeADuration(_ text: String) -> Bool {
        var rest = Substring(text.lowercased())
        if rest.first == "p", rest.dropFirst().first.map({ $0.isNumber || $0 == "t" }) == true {
            return rest.dropFirst().allSatisfy { $0.isNumber || "ymwdths.".contains($0) }
                && rest.contains(where: \.isNumber)
        }
        if let sign = rest.first, "+-".contains(sign) { rest = rest.dropFirst() }
        let number = rest.prefix { $0.isNumber || ".,_ ".contains($0) }
        // With two points it is a version.
        guard number.count(where: { ".,".contains($0) }) < 2 else { return false }
        return number.contains(where: \.isNumber) && unitWords.contains(String(rest.dropFirst(number.count)))
    }

    private static func refusal(_ text: String, _ why: String) -> LockError {
        let advice = text.isEmpty ? "" : "; if it is a key, write \(quoted(keyPrefix + text))"
        return LockError(.invalidConfiguration, "the period \(quoted(text)) \(why): give \(accepted)\(advice)")
    }

    static func quoted(_ text: some StringProtocol) -> String { "“\(String(text.prefix(210)).escapedForDisplay)”" }
}

extension Period {
    /// Reads a period: `24h`, `90s`; `hour`, `day`, `week`, `month`, with a time zone as in `day@Europe/Berlin`; and
    /// any other text with a letter or digit as a key. `key:` in front makes a key of anything, such as a build number:
    /// `key:42`.
    /// - Throws: ``LockError`` with code ``LockError/Code/invalidConfiguration``, and what to write, for text that may
    ///   be meant as a time or a part of the calendar but is not one: `24`, `1d`, `daily`, `day@Berlin`.
    public init(_ text: some StringProtocol) throws(LockError) {
        self = try PeriodText.parse(String(text))
    }
}

extension Period: CustomStringConvertible {
    /// The text from which the same period is read.
    public var description: String {
        switch kind {
        case .key(let key):
            let text = key.string
            if let read = try? PeriodText.parse(text), read == self { return text }
            return PeriodText.keyPrefix + text
        case .every(let milliseconds):
            for (length, unit) in [(3_600_000, "h"), (60_000, "m"), (1000, "s")] where milliseconds % Int64(length) == 0
            {
                return "\(milliseconds / Int64(length))\(unit)"
            }
            return "\(milliseconds)ms"
        case .tick(let tick): return tick % 1000 == 0 ? WallClock.text(tick) : WallClock.stamp(tick)
        case .calendar(let unit, let zone): return zone.map { "\(unit.rawValue)@\($0)" } ?? unit.rawValue
        }
    }
}
