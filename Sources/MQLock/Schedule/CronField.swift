/// A field of a cron expression, in the order in which they are written.
enum CronField: Int, CaseIterable, Sendable {
    case minute, hour, dayOfMonth, month, dayOfWeek

    /// Which numbers it accepts; Sunday is 0 and 7.
    var range: ClosedRange<Int> {
        switch self {
        case .minute: 0...59
        case .hour: 0...23
        case .dayOfMonth: 1...31
        case .month: 1...12
        case .dayOfWeek: 0...7
        }
    }

    /// Other names of its numbers, from the lowest on.
    private var names: [String] {
        switch self {
        case .minute, .hour, .dayOfMonth: []
        case .month: ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
        case .dayOfWeek: ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
        }
    }

    /// Its name in messages that ask for another value.
    var description: String {
        let words =
            switch self {
            case .minute: "minute"
            case .hour: "hour"
            case .dayOfMonth: "day of the month"
            case .month: "month"
            case .dayOfWeek: "day of the week"
            }
        let names = names.isEmpty ? "" : " or \(names[0])-\(names[names.count - 1])"
        return "\(words) (\(range.lowerBound)-\(range.upperBound)\(names))"
    }

    /// A number of this field or the name of one; nil for anything else.
    func number(_ text: Substring) -> Int? {
        if let index = names.firstIndex(of: text.lowercased()) { return range.lowerBound + index }
        guard (1...2).contains(text.utf8.count), text.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let number = Int(text), range.contains(number)
        else { return nil }
        return number
    }
}

/// The numbers that a field of a cron expression stands for.
struct CronNumbers: Hashable, Sendable {
    private var bits: UInt64 = 0
    /// Whether it begins with a star. By that, cron decides what the two day fields mean together, and what happens to
    /// a job when clocks change.
    var isStarred = false

    func contains(_ number: Int) -> Bool { bits & 1 << UInt64(number) != 0 }

    mutating func insert(_ number: Int) { bits |= 1 << UInt64(number) }
}
