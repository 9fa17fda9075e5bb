import MQLock
import Testing

@Suite struct FencingNumberingTests {
    /// A second into 2026, in milliseconds since 1970.
    private let now: Int64 = 1_767_225_600_000 + 1000
    private let clock: UInt64 = 1000 << 21
    private let numbering = FencingNumbering(step: 32, carrier: "the lock's token", remedy: "delete the queues")

    @Test func theClockGivesTheNumber() throws {
        #expect(try numbering.next(above: nil, at: now) == clock)
        #expect(try numbering.next(above: 7, at: now) == clock)
        // A clock that went back, and more hand-overs than the clock has room for.
        #expect(try numbering.next(above: clock, at: now) == clock + 32)
        #expect(try numbering.next(above: clock, at: now - 999) == clock + 32)
        #expect(try numbering.next(above: FencingToken.maximum - 32, at: now) == FencingToken.maximum)
    }

    @Test(arguments: [UInt64.max, UInt64.max - 31, FencingToken.maximum, FencingToken.maximum - 31])
    func thereIsNothingAboveTheLargest(largest: UInt64) {
        let error = #expect(throws: LockError.self) { try numbering.next(above: largest, at: now) }
        #expect(error?.code == .tokenRegression)
    }

    @Test(arguments: [0, 1_767_225_599_999, 1_767_225_600_000 + 1 << 42, .min, .max] as [Int64])
    func aClockOutOfBoundsNumbersNothing(now: Int64) {
        for above in [nil, 7] as [UInt64?] {
            let error = #expect(throws: LockError.self) { try numbering.next(above: above, at: now) }
            #expect(error?.code == .internalError)
        }
    }

    @Test func stepsAreAdded() throws {
        #expect(try numbering.token(clock, at: now).rawValue == clock)
        #expect(try numbering.token(clock, steps: 5, at: now).rawValue == clock + 160)
        #expect(try numbering.token(0, at: now).rawValue == 0)
        #expect(try numbering.token((1000 + 86_400_000) << 21, at: now).rawValue == (1000 + 86_400_000) << 21)
    }

    @Test(
        arguments: [
            (.max, 0), (1000 << 21, .max), (1000 << 21, 1 << 60), (.max, 1), (FencingToken.maximum, 0),
            ((1000 + 86_400_000) << 21, 1),
        ] as [(UInt64, UInt64)])
    func numbersFromOutsideAreBounded(number: UInt64, steps: UInt64) {
        let error = #expect(throws: LockError.self) { try numbering.token(number, steps: steps, at: now) }
        #expect(error?.code == .tokenRegression)
        #expect(error?.message.contains("2026-01-01T00:00:01Z") == true)
        #expect(error?.message.hasSuffix("delete the queues") == true)
    }

    @Test func theLastOfAMoment() {
        #expect(FencingNumbering.last(at: now) == 1001 << 21 - 1)
        for early in [Int64.min, 0, 1_767_225_600_000] { #expect(FencingNumbering.last(at: early) == 1 << 21 - 1) }
        #expect(FencingNumbering.last(at: .max) == FencingToken.maximum)
    }

    @Test func datesAreReadable() {
        #expect(WallClock.text(0) == "1970-01-01T00:00:00Z")
        #expect(WallClock.text(1_798_761_599_999) == "2026-12-31T23:59:59Z")
        #expect(WallClock.text(.max).contains("1970") || WallClock.text(.max).hasSuffix("Z"))
        #expect(WallClock.now > now)
    }
}
