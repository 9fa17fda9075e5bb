import Testing

@testable import MQLockTool

@Suite("Fairness of benchmarked locks") struct BenchFairnessTests {
    private func fairness(_ grants: [Int], _ contenders: Set<Int>) throws -> BenchFairness {
        try #require(BenchFairness(of: grants, among: contenders))
    }

    @Test func inTurnEveryoneWaitsForAllOthers() throws {
        for count in 1...20 {
            let turns = Array(repeating: Array(0..<count), count: 5).flatMap(\.self)
            let fairness = try fairness(turns, Set(0..<count))
            #expect(fairness.longestWait == count - 1)
            #expect(fairness.jainIndex == 1)
        }
    }

    /// Also one that is never granted the lock counts.
    @Test func whoIsStarvedShows() throws {
        for count in 2...20 {
            let fairness = try fairness(Array(repeating: 0, count: 30), Set(0..<count))
            #expect(fairness.longestWait == 30)
            #expect(abs(fairness.jainIndex - 1 / Double(count)) < 1e-9)
        }
    }

    @Test func theLongestWaitIsThatBetweenTwoGrantsOrBeforeTheFirst() throws {
        #expect(try fairness([1, 2, 2, 2, 1], [1, 2]).longestWait == 3)
        #expect(try fairness([1, 1, 1, 1, 2], [1, 2]).longestWait == 4)
        #expect(try fairness([1], [1]).longestWait == 0)
        #expect(BenchFairness(of: [], among: [1]) == nil)
    }

    @Test func theIndexLiesBetweenOneForEachAndOneForAll() throws {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<200 {
            let count = Int.random(in: 1...10, using: &generator)
            let grants = (0..<Int.random(in: 1...50, using: &generator)).map { _ in Int.random(in: 0..<count) }
            let index = try fairness(grants, Set(0..<count)).jainIndex
            #expect(index > 1 / Double(count) - 1e-9 && index < 1 + 1e-9, "\(grants)")
        }
    }

    @Test func roundsAreTakenTogether() throws {
        let rounds = [try fairness([1, 2], [1, 2]), try fairness([1, 1, 1], [1, 2])]
        let all = try #require(BenchFairness(ofAll: rounds))
        #expect(all.longestWait == 3)
        #expect(all.jainIndex == 0.75)
        #expect(BenchFairness(ofAll: []) == nil)
    }

    /// When one has had all its turns, the others do not wait for it.
    @Test func itEndsWithTheFirstToEnd() throws {
        let turns = BenchTurns(
            [1, 2, 1, 2, 2, 2, 2].enumerated().map {
                .init(contender: $0.element, granted: UInt64($0.offset * 10), released: UInt64($0.offset * 10 + 5))
            })
        #expect(turns.fairness == BenchFairness(of: [1, 2, 1], among: [1, 2]))
        #expect(BenchTurns([]).fairness == nil)
    }

    @Test func theWaitsAndTheShareOfOneEndWithTheFirstToEnd() throws {
        let turns = BenchTurns(
            [1, 2, 2, 1, 2, 1, 1].enumerated().map {
                .init(contender: $0.element, granted: UInt64($0.offset * 10), released: UInt64($0.offset * 10 + 5))
            })
        // While both take part: 1, 2, 2, 1, 2.
        #expect(turns.waits(of: 1) == [25])
        #expect(turns.waits(of: 2) == [5, 15])
        #expect(turns.share(of: 1) == 0.4 && turns.share(of: 3) == 0)
        #expect(BenchTurns([]).waits(of: 1) == [] && BenchTurns([]).share(of: 1) == nil)
    }
}
