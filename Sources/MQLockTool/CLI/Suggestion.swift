/// The known word that a mistyped one was probably meant to be.
enum Suggestion {
    static func nearest(to word: String, among candidates: [String]) -> String? {
        let word = word.lowercased()
        // A third of the word may be wrong. One letter of a two-letter word says nothing.
        let limit = max(1, word.count / 3)
        guard word.count > 1 else { return nil }
        let ranked = candidates.map { ($0, distance(word, $0.lowercased())) }.filter { $0.1 <= limit }
        if let best = ranked.min(by: { $0.1 < $1.1 }) { return best.0 }
        return candidates.first { word.count >= 3 && $0.lowercased().hasPrefix(word) }
    }

    /// ": did you mean …?", or nothing.
    static func phrase(for word: String, among candidates: [String]) -> String {
        nearest(to: word, among: candidates).map { "; did you mean '\($0)'?" } ?? ""
    }

    /// The insertions, deletions, replacements and swaps of neighbors that turn one into the other.
    static func distance(_ left: String, _ right: String) -> Int {
        let left = Array(left)
        let right = Array(right)
        var rows = [Array(0...right.count)]
        for i in 1..<(left.count + 1) {
            var row = [i]
            for j in 1..<(right.count + 1) {
                let replaced = rows[i - 1][j - 1] + (left[i - 1] == right[j - 1] ? 0 : 1)
                var best = min(replaced, rows[i - 1][j] + 1, row[j - 1] + 1)
                if i > 1, j > 1, left[i - 1] == right[j - 2], left[i - 2] == right[j - 1] {
                    best = min(best, rows[i - 2][j - 2] + 1)
                }
                row.append(best)
            }
            rows.append(row)
        }
        return rows[left.count][right.count]
    }
}
