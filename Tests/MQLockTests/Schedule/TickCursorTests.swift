import MQLockTesting
import Testing

@testable import MQLock

/// Which tick is next, on clocks that go on, stand, jump and are set back.
@Suite(.timeLimit(.minutes(1))) struct TickCursorTests {
    private static let midnight: Int64 = 20_000 * 24 * 3600 * 1000
    private static let hour: Int64 = 3_600_000

    private static func schedules() throws -> [Schedule] {
        [
            try .every(.seconds(1)), try .every(.seconds(60)), try .every(.seconds(3600)),
            try .every(.seconds(100_000)),
            try .cron("*/5 * * * *"), try .cron("30 2 * * *", in: "Europe/Berlin"), try .cron("0 0 1 1 *"),
        ]
    }

    @Test(arguments: MissedTicks.allCases) func whateverClocksDo(_ missed: MissedTicks) throws {
        let seed = UInt64.random(in: 0 ... .max)
        print("ticks and clocks: seed \(seed)")
        var random = SeededGenerator(seed)
        for schedule in try Self.schedules() {
            for _ in 0..<15 {
                var now = Self.midnight + Int64.random(in: 0...400 * 24 * Self.hour, using: &random)
                let start = now
                var cursor = TickCursor(schedule, missed, at: now)
                var (highest, last, wasSetBack): (Int64, Int64?, Bool) = (now, nil, false)
                for _ in 0..<60 {
                    func check(_ holds: Bool, _ what: String) {
                        if !holds { Issue.record("\(what), \(schedule), \(missed), now \(now), seed \(seed)") }
                    }
                    switch cursor.step(at: now) {
                    case .wait(let until):
                        check(until == schedule.next(after: now), "wait")
                    case .miss(let tick):
                        check(missed == .skip && now - tick > 60_000, "left out")
                        check(cursor.step(at: now).isWait, "nothing twice")
                    case .run(let tick):
                        // The newest, and not an old one.
                        check(tick <= now && schedule.latest(upTo: now, after: tick) == nil, "the newest")
                        check(missed == .runOnce || (now - tick <= 60_000 && tick > start || tick < highest), "in time")
                        check(now - tick < TickCursor.oldest, "not too old")
                        if !wasSetBack, let last { check(tick > last, "again") }
                        last = max(last ?? tick, tick)
                        // The job takes its time.
                        if Bool.random(using: &random) { now += Int64.random(in: 0...2 * Self.hour, using: &random) }
                        let left = cursor.ended(tick, at: now)
                        check(left == nil || missed == .skip && left! > tick && left! <= now, "missed meanwhile")
                        // Nothing is tried again and again.
                        let step = cursor.step(at: now)
                        if missed == .skip { check(step.isWait, "at rest") }
                        if case .run(let other) = step { check(other > tick, "later") }
                    }
                    highest = max(highest, now)
                    switch Int.random(in: 0...9, using: &random) {
                    case 0:
                        now -= Int64.random(in: 0...30 * Self.hour, using: &random)
                        wasSetBack = true
                    case 1: now += Int64.random(in: 0...30 * Self.hour, using: &random)
                    case 2: now += Int64.random(in: 0...30 * 24 * Self.hour, using: &random)
                    case 3: break
                    default:
                        now = min(
                            schedule.next(after: now) ?? now, now + Int64.random(in: 1...Self.hour, using: &random))
                    }
                }
            }
        }
    }

    /// A clock that goes on, looked at in time: each tick once, in order.
    @Test(arguments: MissedTicks.allCases) func noTickIsLeftOut(_ missed: MissedTicks) throws {
        for schedule in try Self.schedules() {
            let start = Self.midnight + 1
            var (now, ticks, wakes) = (start, [Int64](), 0)
            var cursor = TickCursor(schedule, missed, at: now)
            if missed == .runOnce, case .run(let old) = cursor.step(at: now) { _ = cursor.ended(old, at: now) }
            while ticks.count < 20 {
                wakes += 1
                switch cursor.step(at: now) {
                case .wait(let until): now = try #require(until)
                case .miss(let tick): Issue.record("\(tick) of \(schedule)")
                case .run(let tick):
                    ticks.append(tick)
                    #expect(cursor.ended(tick, at: now) == nil)
                }
            }
            var (expected, moment) = ([Int64](), start)
            for _ in 0..<20 {
                moment = try #require(schedule.next(after: moment))
                expected.append(moment)
            }
            #expect(ticks == expected && wakes <= 40)
        }
    }

    @Test func whatWasMissedIsLeftOutOrDoneOnce() throws {
        let schedule = try Schedule.every(.seconds(3600))
        let start = Self.midnight + 1000
        for missed in MissedTicks.allCases {
            let isSkipped = missed == .skip
            var cursor = TickCursor(schedule, missed, at: start)
            // At the start.
            #expect(
                cursor.step(at: start) == (isSkipped ? .wait(until: Self.midnight + Self.hour) : .run(Self.midnight)))
            if !isSkipped { #expect(cursor.ended(Self.midnight, at: start) == nil) }
            // Asleep over three of them.
            let late = Self.midnight + 3 * Self.hour + 60_001
            #expect(cursor.step(at: late) == (isSkipped ? .miss(late - 60_001) : .run(late - 60_001)))
            if !isSkipped { #expect(cursor.ended(late - 60_001, at: late) == nil) }
            #expect(cursor.step(at: late).isWait)
            // A job that takes longer than the time to the next two.
            let fourth = Self.midnight + 4 * Self.hour
            #expect(cursor.step(at: fourth) == .run(fourth))
            let end = fourth + 2 * Self.hour + 5000
            #expect(cursor.ended(fourth, at: end) == (isSkipped ? end - 5000 : nil))
            #expect(cursor.step(at: end) == (isSkipped ? .wait(until: end - 5000 + Self.hour) : .run(end - 5000)))
        }
    }

    /// The marks decide whether they have been done.
    @Test(arguments: MissedTicks.allCases) func ticksComeAgainWhenTheClockIsSetBack(_ missed: MissedTicks) throws {
        let schedule = try Schedule.every(.seconds(3600))
        let (first, third) = (Self.midnight + Self.hour, Self.midnight + 3 * Self.hour)
        var cursor = TickCursor(schedule, missed, at: Self.midnight)
        #expect(cursor.step(at: third) == .run(third))
        _ = cursor.ended(third, at: third)
        #expect(cursor.step(at: first - 1) == .wait(until: first))
        #expect(cursor.step(at: first) == .run(first))
    }
}

extension TickCursor.Step {
    fileprivate var isWait: Bool { if case .wait = self { true } else { false } }
}
