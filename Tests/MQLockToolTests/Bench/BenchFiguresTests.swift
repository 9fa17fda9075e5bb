import Foundation
import Testing

@testable import MQLockTool

@Suite("Benchmark figures") struct BenchFiguresTests {
    private func sample(_ durations: [UInt64]) -> BenchSample {
        var sample = BenchSample()
        sample.add(durations)
        return sample
    }

    @Test func percentiles() {
        let hundred = sample((1...100).map { $0 * 1000 }.reversed())
        #expect(hundred.percentile(0.5) == 50)
        #expect(hundred.percentile(0.9) == 90)
        #expect(hundred.percentile(0.99) == 99)
        #expect(hundred.percentile(0) == 1)
        #expect(hundred.percentile(1) == 100)
        let one = sample([1500])
        #expect([0.5, 0.9, 0.99].map(one.percentile) == [1.5, 1.5, 1.5])
        #expect(sample([]).percentile(0.5) == nil)
        #expect(BenchFigures(sample([])) == nil)
    }

    private func turns(_ turns: [(Int, UInt64, UInt64)]) -> BenchTurns {
        BenchTurns(turns.map { .init(contender: $0.0, granted: $0.1, released: $0.2) })
    }

    @Test func handOversAreBetweenProcesses() {
        // 1 holds twice in a row: that is no hand-over.
        let turns = turns([(2, 50, 60), (1, 10, 20), (1, 30, 40), (1, 65, 70)])
        #expect(turns.handOvers == [10, 5])
        #expect(turns.overlaps == 0)
    }

    @Test func overlapsAreFound() {
        #expect(turns([(1, 10, 20), (2, 19, 30)]).overlaps == 1)
        #expect(turns([(1, 10, 40), (2, 19, 30)]).handOvers == [])
        #expect(turns([(1, 10, 20), (2, 20, 30)]).overlaps == 0)
    }

    /// When one is through with its turns, the others pass the lock among fewer: that does not count.
    @Test func theRateEndsWithTheFirstToEnd() {
        let second: UInt64 = 1_000_000_000
        let turns = turns([
            (1, 0, 1), (2, second, second + 1), (1, 2 * second, 2 * second + 1), (2, 10 * second, 10 * second + 1),
        ])
        #expect(turns.handOversPerSecond == 1)
        #expect(self.turns([(1, 0, 1)]).handOversPerSecond == nil)
        #expect(self.turns([]).handOversPerSecond == nil)
    }

    @Test func ratiosAndJSON() throws {
        let ours = try #require(BenchFigures(sample([2000, 4000, 6000]), perSecond: 100))
        let raw = try #require(BenchFigures(sample([1000, 2000, 3000]), perSecond: 200))
        let both = BenchResult(mutex: "sac", measure: .handOver, processes: 2, mqlock: ours, raw: raw)
        let ratio = try #require(both.ratio)
        #expect([ratio.p50, ratio.p90, ratio.p99, ratio.perSecond] == [2, 2, 2, 0.5])
        let alone = BenchResult(mutex: "sac", measure: .recovery, processes: 2, mqlock: ours, raw: nil)
        #expect(alone.ratio == nil)
        let instant = try #require(BenchFigures(sample([0])))
        #expect(BenchResult(mutex: "sac", measure: .tasks, processes: 1, mqlock: ours, raw: instant).ratio == nil)
        // Nothing was handed over: there is no ratio to it.
        let still = try #require(BenchFigures(sample([1000]), perSecond: 0))
        let beside = BenchResult(mutex: "sac", measure: .handOver, processes: 2, mqlock: ours, raw: still)
        #expect(beside.ratio?.p50 == 4 && beside.ratio?.perSecond == nil)
        for result in [both, alone, beside] {
            let line = BenchReport.json(result)
            #expect(line.hasSuffix("}\n") && line.filter { $0 == "\n" }.count == 1)
            #expect(try JSONDecoder().decode(BenchResult.self, from: Data(line.utf8)) == result)
            let object = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
            #expect(object["event"] as? String == "measured")
        }
    }

    @Test func theTableShowsEveryFigure() throws {
        var ours = try #require(BenchFigures(sample([2000, 4000, 6000]), perSecond: 123))
        ours.add(BenchFairness(of: [1, 2, 2, 1], among: [1, 2]))
        ours.add(cpuPerGrant: 77.4)
        ours.bytesPerLock = 5321
        let raw = try #require(BenchFigures(sample([1000, 2000, 3000]), perSecond: 246))
        let text = BenchReport.text(
            BenchResult(mutex: "token", measure: .handOver, processes: 16, mqlock: ours, raw: raw))
        for word in [
            "token", "16 processes", "3 times", " 4 ", " 6 ", " 123\n", " 246\n", " 2.00", " 0.50\n", "wait 2", "1.000",
            " 77 ", "5321 bytes",
        ] {
            #expect(text.contains(word), "\(word)")
        }
        for line in text.split(separator: "\n") { #expect(line.count <= 80) }
    }
}
