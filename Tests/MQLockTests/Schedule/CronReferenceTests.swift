import Foundation
import MQLockTesting
import Testing

@testable import MQLock

/// Generated cron expressions in many time zones, against one that looks at every minute.
@Suite(.inBackground, .timeLimit(.minutes(20))) struct CronReferenceTests {
    private static let zones = [
        "UTC", "Europe/Berlin", "Europe/Dublin", "America/New_York", "America/Sao_Paulo", "America/St_Johns",
        "America/Havana", "Asia/Kolkata", "Asia/Kathmandu", "Asia/Beirut", "Asia/Tehran", "Africa/Casablanca",
        "Africa/Cairo",
        "Australia/Lord_Howe", "Antarctica/Troll", "Pacific/Apia", "Pacific/Chatham", "Pacific/Auckland",
        "Asia/Pyongyang", "America/Caracas", "Europe/Istanbul", "Antarctica/Casey", "America/Nuuk", "Asia/Gaza",
    ]
    private static let seed =
        ProcessInfo.processInfo.environment["MQLOCK_SEED"].flatMap(UInt64.init) ?? .random(in: 0 ... .max)
    private static let isFull = ProcessInfo.processInfo.environment["MQLOCK_TEST_FULL"] == "1"

    @Test func everyMinuteOfAYear() async {
        await onThread {
            print("cron expressions: MQLOCK_SEED=\(Self.seed)")
            var random = SeededGenerator(Self.seed)
            var compared = 0
            for _ in 0..<(Self.isFull ? 6 : 1) {
                // 2011 and 2015 to 2018 have changes that are no summer time.
                let year = MinutesOfYear(
                    [2011, 2015, 2016, 2018, .random(in: 1975...2037, using: &random)].randomElement(using: &random)!)
                for name in Self.zones.shuffled(using: &random).prefix(Self.isFull ? 24 : 2) {
                    let minutes = year.minutes(in: TimeZone(identifier: name)!)
                    for _ in 0..<(Self.isFull ? 6 : 4) {
                        let written = WrittenExpression(&random)
                        compared += compare(written, minutes, name, year.year, &random)
                    }
                }
            }
            #expect(compared > 0, "MQLOCK_SEED=\(Self.seed)")
        }
    }

    /// Changes of all zones, with expressions that have many ticks around them.
    @Test func everyMinuteAroundAChange() async {
        await onThread {
            print("cron expressions around changes: MQLOCK_SEED=\(Self.seed)")
            var random = SeededGenerator(Self.seed)
            for name in Self.zones.shuffled(using: &random).prefix(Self.isFull ? 24 : 2) {
                for year in Self.isFull ? Array(stride(from: 1975, through: 2037, by: 3)) : [2016, 2026] {
                    let zone = TimeZone(identifier: name)!
                    var changes: [Int64] = []
                    let start = MinutesOfYear.start(year)
                    for minute in stride(from: start, to: start + 365 * 1440, by: 180)
                    where zone.minutes(at: minute) != zone.minutes(at: minute + 180) {
                        changes.append(minute)
                    }
                    for change in changes {
                        let minutes = MinutesOfYear(from: change - 2880, count: 5760).minutes(in: zone)
                        for text in [
                            "* * * * *", "0-59 0-23 * * *", "15,30 * * * *", "30 0-23/2 * * *", "*/7 1-3 * * *",
                        ] {
                            _ = compare(WrittenExpression(text), minutes, name, year, &random)
                        }
                    }
                }
            }
        }
    }

    /// - Returns: how many ticks were compared.
    private func compare(
        _ written: WrittenExpression, _ minutes: [Minute], _ zone: String, _ year: Int, _ random: inout SeededGenerator
    ) -> Int {
        let expected = written.ticks(minutes)
        guard let expression = try? CronExpression(written.text) else {
            // Days that no year has are refused.
            if !expected.isEmpty { Issue.record("\(written.text) was refused, MQLOCK_SEED=\(Self.seed)") }
            return 0
        }
        let calendar = CronCalendar(expression: expression, zone: try! NamedTimeZone(zone))
        // Without the first and last days: what the reference cannot see both sides of.
        let (first, last) = (minutes[1440].utc, minutes[minutes.count - 1440].utc)
        let inside = expected.filter { (first..<last).contains($0) }
        let context = "\(written.text) in \(zone), \(year), MQLOCK_SEED=\(Self.seed)"
        var walked: Set<Int64> = []
        for day in (first / 1440 - 2)...(last / 1440 + 2) {
            walked.formUnion(calendar.moments(on: day).map { $0 / 60 })
        }
        let found = walked.filter { (first..<last).contains($0) }.sorted()
        if found != inside {
            let odd = Set(found).symmetricDifference(inside).sorted().prefix(5).map { WallClock.text($0 * 60_000) }
            Issue.record("\(context): \(odd)")
            return 0
        }
        for _ in 0..<10 {
            let minute = Int64.random(in: first..<last, using: &random)
            let next = inside.first { $0 > minute }
            let latest = inside.last { $0 <= minute }
            let (foundNext, foundLatest) = (
                calendar.next(after: minute * 60), calendar.latest(upTo: minute * 60 + 59, after: first * 60 - 1)
            )
            if let next, foundNext != next * 60 {
                Issue.record("\(context): next after \(WallClock.text(minute * 60_000))")
            }
            if let foundNext, next == nil, foundNext < last * 60 { Issue.record("\(context): next that is none") }
            if foundLatest != latest.map({ $0 * 60 }) {
                Issue.record("\(context): latest up to \(WallClock.text(minute * 60_000))")
            }
        }
        return inside.count
    }

    private func onThread(_ body: @escaping @Sendable () -> Void) async {
        await withCheckedContinuation { done in
            Thread.detachNewThread {
                #if os(Linux)
                _ = nice(15)
                #endif
                body()
                done.resume()
            }
        }
    }
}

/// A minute of UTC, and which minute the clocks of a zone show; both counted from 1970.
private struct Minute {
    let utc: Int64
    let shown: Int64
    /// What the shown ones are called: those that were skipped before this one, and itself.
    let reached: ArraySlice<MinutesOfYear.Name>
    /// Whether no clock has shown it or a later one before.
    let isNew: Bool
    let name: MinutesOfYear.Name
}

extension TimeZone {
    fileprivate func minutes(at minute: Int64) -> Int64 {
        Int64(secondsFromGMT(for: Date(timeIntervalSince1970: Double(minute * 60)))) / 60
    }
}

private struct MinutesOfYear {
    struct Name { let minute, hour, day, month, weekday: UInt8 }

    let year: Int
    private let start: Int64
    private let count: Int
    /// Of all minutes that clocks show then, from two days before.
    private let names: [Name]

    static func start(_ year: Int) -> Int64 {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = .gmt
        return Int64(calendar.date(from: DateComponents(year: year))!.timeIntervalSince1970) / 60
    }

    init(_ year: Int) { self.init(from: Self.start(year), count: 366 * 1440, year: year) }

    init(from start: Int64, count: Int, year: Int = 0) {
        (self.year, self.start, self.count) = (year, start, count)
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = .gmt
        var names: [Name] = []
        for hour in (start / 60 - 48)..<(start / 60 + Int64(count / 60) + 49) {
            let parts = calendar.dateComponents(
                [.hour, .day, .month, .weekday], from: Date(timeIntervalSince1970: Double(hour * 3600)))
            for minute in 0..<60 {
                names.append(
                    Name(
                        minute: UInt8(minute), hour: UInt8(parts.hour!), day: UInt8(parts.day!),
                        month: UInt8(parts.month!),
                        weekday: UInt8(parts.weekday! - 1)))
            }
        }
        self.names = names
    }

    func minutes(in zone: TimeZone) -> [Minute] {
        let first = (start / 60 - 48) * 60
        var last = Int64.min
        var minutes: [Minute] = []
        minutes.reserveCapacity(count)
        for utc in start..<(start + Int64(count)) {
            let shown = utc + zone.minutes(at: utc)
            let isNew = shown > last
            let from = isNew && last > .min ? last + 1 : shown
            minutes.append(
                Minute(
                    utc: utc, shown: shown, reached: names[Int(from - first)...Int(shown - first)], isNew: isNew,
                    name: names[Int(shown - first)]))
            last = max(last, shown)
        }
        return minutes
    }
}

/// A cron expression that says what it means without being read.
private struct WrittenExpression {
    let text: String
    private let fields: [(numbers: Set<Int>, isStarred: Bool)]

    init(_ random: inout SeededGenerator) {
        var (words, fields): ([String], [(Set<Int>, Bool)]) = ([], [])
        for field in CronField.allCases {
            let (word, numbers) = Self.word(field, &random)
            words.append(word)
            fields.append((numbers, word.hasPrefix("*")))
        }
        text = words.joined(separator: " ")
        self.fields = fields
    }

    /// For the few that are written by hand: stars, lists, ranges, steps.
    init(_ text: String) {
        self.text = text
        let ranges = [0...59, 0...23, 1...31, 1...12, 0...6]
        fields = zip(text.split(separator: " "), ranges).map { word, range in
            var numbers: Set<Int> = []
            for item in word.split(separator: ",") {
                let parts = item.split(separator: "/")
                let ends =
                    parts[0] == "*"
                    ? [range.lowerBound, range.upperBound] : parts[0].split(separator: "-").map { Int($0)! }
                numbers.formUnion(
                    stride(from: ends[0], through: ends[ends.count - 1], by: parts.count > 1 ? Int(parts[1])! : 1))
            }
            return (numbers, word.hasPrefix("*"))
        }
    }

    private static func word(_ field: CronField, _ random: inout SeededGenerator) -> (String, Set<Int>) {
        let range = field == .dayOfWeek ? 0...6 : field.range
        let isRare = field == .dayOfMonth || field == .month || field == .dayOfWeek
        switch Int.random(in: 0...(isRare ? 9 : 5), using: &random) {
        case 0, 6...9: return ("*", Set(range))
        case 1:
            let step = Int.random(in: 1..<range.count, using: &random)
            return ("*/\(step)", Set(stride(from: range.lowerBound, through: range.upperBound, by: step)))
        default:
            var (items, numbers): ([String], Set<Int>) = ([], [])
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let first = Int.random(in: field.range, using: &random)
                switch Int.random(in: 0...2, using: &random) {
                case 0:
                    items.append(name(first, field, &random))
                    numbers.insert(first)
                case 1:
                    let last = Int.random(in: first...field.range.upperBound, using: &random)
                    items.append("\(name(first, field, &random))-\(last)")
                    numbers.formUnion(first...last)
                default:
                    let last = Int.random(in: first...field.range.upperBound, using: &random)
                    let step = Int.random(in: 1...max(1, last - first), using: &random)
                    items.append("\(first)-\(last)/\(step)")
                    numbers.formUnion(stride(from: first, through: last, by: step))
                }
            }
            if field == .dayOfWeek, numbers.remove(7) != nil { numbers.insert(0) }
            return (items.joined(separator: ","), numbers)
        }
    }

    private static func name(_ number: Int, _ field: CronField, _ random: inout SeededGenerator) -> String {
        let names =
            switch field {
            case .month: ["", "Jan", "feb", "MAR", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
            case .dayOfWeek: ["sun", "mon", "Tue", "WED", "thu", "fri", "sat", "7"]
            default: [String]()
            }
        return names.isEmpty || Bool.random(using: &random) ? "\(number)" : names[number]
    }

    func ticks(_ minutes: [Minute]) -> [Int64] {
        let masks = fields.map { $0.numbers.reduce(UInt64(0)) { $0 | 1 << UInt64($1) } }
        let followsTheClock = fields[0].isStarred || fields[1].isStarred
        let isEither = !fields[2].isStarred && !fields[4].isStarred
        func matches(_ name: MinutesOfYear.Name) -> Bool {
            guard masks[0] >> UInt64(name.minute) & 1 == 1, masks[1] >> UInt64(name.hour) & 1 == 1,
                masks[3] >> UInt64(name.month) & 1 == 1
            else { return false }
            let (day, weekday) = (masks[2] >> UInt64(name.day) & 1 == 1, masks[4] >> UInt64(name.weekday) & 1 == 1)
            return isEither ? day || weekday : day && weekday
        }
        return minutes.filter { minute in
            followsTheClock ? matches(minute.name) : minute.isNew && minute.reached.contains(where: matches)
        }.map(\.utc)
    }
}
