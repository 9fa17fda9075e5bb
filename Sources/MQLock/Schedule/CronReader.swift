/// Reads cron expressions, and for one that it cannot read, says what to write.
struct CronReader {
    let text: String

    private static let short: [String: [Substring]] = [
        "@hourly": ["0", "*", "*", "*", "*"], "@daily": ["0", "0", "*", "*", "*"],
        "@midnight": ["0", "0", "*", "*", "*"], "@weekly": ["0", "0", "*", "*", "0"],
        "@monthly": ["0", "0", "1", "*", "*"], "@yearly": ["0", "0", "1", "1", "*"],
        "@annually": ["0", "0", "1", "1", "*"],
    ]
    private static var accepted: String {
        let fields = CronField.allCases.map(\.description).joined(separator: ", ")
        return """
            give five fields, \(fields), as in “0 3 * * mon-fri”; or one of \
            \(short.keys.sorted().joined(separator: ", "))
            """
    }

    func fields(_ words: [Substring]) throws(LockError) -> [CronNumbers] {
        var words = words
        if words.count == 1, words[0].hasPrefix("@") {
            guard let short = Self.short[words[0].lowercased()] else {
                throw refusal("is none of the short forms")
            }
            words = short
        }
        guard words.count == CronField.allCases.count else {
            let number = words.count == 1 ? "1 field" : "\(words.count) fields"
            throw refusal(words.count == 6 ? "has 6 fields, and there are no seconds" : "has \(number)")
        }
        var fields: [CronNumbers] = []
        for (field, word) in zip(CronField.allCases, words) { fields.append(try numbers(word, field)) }
        return fields
    }

    private func numbers(_ word: Substring, _ field: CronField) throws(LockError) -> CronNumbers {
        var numbers = CronNumbers()
        numbers.isStarred = word.utf8.first == UInt8(ascii: "*")
        for item in word.split(separator: ",", omittingEmptySubsequences: false) {
            let parts = item.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
            let range = try range(parts[0], field)
            var step = 1
            if parts.count == 2 {
                step = try self.step(parts[1], range, isRange: parts[0] == "*" || parts[0].contains("-"), field)
            }
            for number in stride(from: range.lowerBound, through: range.upperBound, by: step) {
                numbers.insert(field == .dayOfWeek ? number % 7 : number)
            }
        }
        return numbers
    }

    private func range(_ text: Substring, _ field: CronField) throws(LockError) -> ClosedRange<Int> {
        guard text != "*" else {
            // Sunday is not two days.
            return field == .dayOfWeek ? 0...6 : field.range
        }
        let ends = text.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = field.number(ends[0]), let last = field.number(ends[ends.count - 1]) else {
            throw refusal("has “\(shown(text))” where the \(field.description) is to be")
        }
        guard first <= last else {
            throw refusal(
                "has the range “\(shown(text))”, which ends before it begins; write two, as in 22-23,0-6, or 5-7 for fri-sun"
            )
        }
        return first...last
    }

    private func step(
        _ text: Substring, _ range: ClosedRange<Int>, isRange: Bool, _ field: CronField
    ) throws(LockError) -> Int {
        guard isRange else {
            throw refusal(
                "has a step behind a single number; write the range, as in \(range.lowerBound)-\(field.range.upperBound)/\(shown(text))"
            )
        }
        guard (1...2).contains(text.utf8.count), text.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let step = Int(text), (1...max(1, range.count - 1)).contains(step)
        else {
            throw refusal(
                "has the step “\(shown(text))”, and from \(range.lowerBound) to \(range.upperBound) it is 1 to \(max(1, range.count - 1))"
            )
        }
        return step
    }

    func refusal(_ why: String) -> LockError {
        LockError(.invalidConfiguration, "the cron expression \(PeriodText.quoted(text)) \(why): \(Self.accepted)")
    }

    private func shown(_ text: Substring) -> String { String(text.prefix(40)).escapedForDisplay }
}
