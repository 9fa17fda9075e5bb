import Foundation
import Testing

@testable import MQLockTool

@Suite("Comparison of benchmarks") struct BenchComparisonTests {
    private func figures(_ microseconds: UInt64, _ perSecond: Double? = nil) throws -> BenchFigures {
        var sample = BenchSample()
        sample.add([microseconds * 1000])
        return try #require(BenchFigures(sample, perSecond: perSecond))
    }

    private func result(
        _ ours: UInt64, _ perSecond: Double? = nil, raw: UInt64? = nil, mutex: String = "sac",
        of measure: BenchResult.Measure = .uncontended, processes: Int = 1, tasks: Int? = nil
    ) throws -> BenchResult {
        BenchResult(
            mutex: mutex, measure: measure, processes: processes, tasks: tasks, mqlock: try figures(ours, perSecond),
            raw: try raw.map { try figures($0) })
    }

    @Test func timesAreDividedByThoseOfThen() throws {
        let comparison = try #require(BenchComparison(try result(30, 100), to: try result(20, 200)))
        #expect(comparison.basis == .figures)
        #expect([comparison.ratio.p50, comparison.ratio.p90, comparison.ratio.p99] == [1.5, 1.5, 1.5])
        #expect(comparison.ratio.perSecond == 0.5)
        #expect(comparison.isWorse)
    }

    /// A machine that is twice as slow is no regression.
    @Test func besideAProgramTheMachineDoesNotCount() throws {
        let comparison = try #require(BenchComparison(try result(40, raw: 20), to: try result(20, raw: 10)))
        #expect(comparison.basis == .raw)
        #expect(comparison.ratio.p50 == 1 && !comparison.isWorse)
        // Only one of the two runs had the program.
        #expect(try #require(BenchComparison(try result(40, raw: 20), to: try result(20))).basis == .figures)
    }

    @Test func whatIsWorseIsMarked() throws {
        for (ours, rate, isWorse) in [
            (100, 100.0, false), (124, 100, false), (126, 100, true), (50, 200, false), (100, 81, false),
            (100, 79, true),
        ] as [(UInt64, Double, Bool)] {
            let comparison = try #require(BenchComparison(try result(ours, rate), to: try result(100, 100)))
            #expect(comparison.isWorse == isWorse, "\(ours) \(rate)")
            #expect(BenchReport.text(comparison).contains("worse") == isWorse)
            for line in BenchReport.text(comparison).split(separator: "\n") { #expect(line.count <= 80) }
        }
    }

    @Test func onlyTheSameSituationsAreCompared() throws {
        let now = [
            try result(10), try result(10, mutex: "token"), try result(10, of: .handOver, processes: 4),
            try result(10, of: .tasks, tasks: 8), try result(10, of: .recovery),
        ]
        let then = [
            try result(99), try result(20), try result(20, of: .handOver, processes: 2),
            try result(40, of: .tasks, tasks: 8),
            try result(40, of: .tasks, tasks: 64),
        ]
        // If a file has several runs, the last one counts.
        let all = BenchComparison.all(now, to: then)
        #expect(all.map(\.ratio.p50) == [0.5, 0.25])
        #expect(all.map(\.result) == [now[0], now[3]])
        #expect(BenchComparison(try result(1), to: try result(0)) == nil)
    }

    @Test func whatIsSavedIsReadBack() throws {
        let results = [try result(10, 3, raw: 7), try result(10, of: .tasks, tasks: 8)]
        let text = "\n{\"event\":\"started\"}\nnothing\n" + results.map { BenchReport.json($0) }.joined()
        #expect(BenchFiles.results(in: text) == results)
        #expect(BenchFiles.results(in: "") == [])
    }
}
