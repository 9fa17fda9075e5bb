import MQLock

extension Verdict: CustomStringConvertible {
    /// The verdict as a readable table of several lines.
    public var description: String { table(limit: 20) }

    /// The verdict as a table that lists at most `limit` violations and as many remarks.
    public func table(limit: Int) -> String {
        let numbers = statistics
        let span = Duration.nanoseconds(Int64(clamping: endedAt - startedAt)).readable
        var lines = [
            "history      \(numbers.events) events of \(numbers.processes.count) processes in \(span)",
            "grants       \(numbers.grants) of \(numbers.names) lock\(numbers.names == 1 ? "" : "s")",
            "writes       \(numbers.acceptedWrites) accepted, \(numbers.refusedWrites) refused",
        ]
        lines += Self.aligned(gapRows)
        lines += Self.aligned(processRows)
        lines += Self.listed(remarks, limit: limit, indent: "remark       ")
        if isGood {
            lines.append("verdict      good: no two holders overlapped, no token went back, no stale write got through")
        } else {
            lines.append("verdict      VIOLATED, \(violations.count) times")
            lines += Self.listed(violations.map(shown), limit: limit, indent: "             ")
        }
        return lines.joined(separator: "\n")
    }

    private var gapRows: [[String]] {
        let causes = [nil] + HandOver.Cause.allCases.map(Optional.some)
        let rows = causes.compactMap { cause -> [String]? in
            let count = statistics.handOvers.count { cause == nil || $0.cause == cause }
            guard count > 0 else { return nil }
            let gaps = [0.5, 0.99, 1].map { statistics.gap(at: $0, after: cause)?.readable ?? "-" }
            return [cause.map { "after \($0.rawValue)" } ?? "all", String(count)] + gaps
        }
        return rows.isEmpty ? [] : [["hand-overs", "count", "p50", "p99", "max"]] + rows
    }

    private var processRows: [[String]] {
        let rows = statistics.processes.sorted { $0.key < $1.key }.map { name, counts in
            [
                name.escapedForDisplay, String(counts.grants), String(counts.writes), String(counts.refused),
                String(counts.lost), String(counts.gaveUp), counts.died ? "died" : "",
            ]
        }
        return rows.isEmpty ? [] : [["process", "grants", "writes", "refused", "lost", "gave up", ""]] + rows
    }

    private func shown(_ violation: Violation) -> String {
        let since = Duration.nanoseconds(Int64(clamping: violation.at - min(startedAt, violation.at))).readable
        let name = violation.name.isEmpty ? "" : " \(violation.name.escapedForDisplay):"
        return "\(violation.kind) after \(since):\(name) \(violation.message)"
    }

    private static func listed(_ texts: [String], limit: Int, indent: String) -> [String] {
        var lines = texts.prefix(limit).map { indent + $0 }
        if texts.count > limit { lines.append("\(indent)… and \(texts.count - limit) more") }
        return lines
    }

    /// First column to the left, the others to the right, two spaces between.
    private static func aligned(_ rows: [[String]]) -> [String] {
        var widths = [11]
        for row in rows {
            for (column, text) in row.enumerated() {
                if column == widths.count { widths.append(0) }
                widths[column] = max(widths[column], text.count)
            }
        }
        return rows.map { row in
            let cells = row.enumerated().map { column, text in
                let padding = String(repeating: " ", count: widths[column] - text.count)
                return column == 0 ? text + padding : padding + text
            }
            return String(cells.joined(separator: "  ").reversed().drop { $0 == " " }.reversed())
        }
    }
}
