/// A page in the Prometheus text format, version 0.0.4: families of metrics, each with its help and type.
struct Exposition {
    enum Kind: String { case counter, gauge, histogram }

    private(set) var text = ""

    mutating func family(_ name: String, _ kind: Kind, _ help: String, _ add: (inout Family) -> Void) {
        text += "# HELP \(name) \(Self.escaped(help))\n# TYPE \(name) \(kind.rawValue)\n"
        var family = Family(name: name)
        add(&family)
        text += family.lines
    }

    /// The samples of one metric.
    struct Family {
        let name: String
        fileprivate var lines = ""

        fileprivate init(name: String) { self.name = name }

        mutating func sample(_ labels: [(String, String)], _ value: some BinaryInteger) {
            line("", labels, String(value))
        }

        mutating func sample(_ labels: [(String, String)], _ value: Double) { line("", labels, "\(value)") }

        mutating func histogram(_ labels: [(String, String)], _ histogram: Histogram) {
            var count: UInt64 = 0
            let bounds = Histogram.bounds.map(\.seconds) + ["+Inf"]
            for (bound, bucket) in zip(bounds, histogram.buckets) {
                count += bucket
                line("_bucket", labels + [("le", bound)], String(count))
            }
            line("_sum", labels, "\(histogram.sum.seconds)")
            line("_count", labels, String(count))
        }

        private mutating func line(_ suffix: String, _ labels: [(String, String)], _ value: String) {
            let pairs = labels.map { "\($0)=\"\(Exposition.escaped($1, quotes: true))\"" }
            let braces = pairs.isEmpty ? "" : "{\(pairs.joined(separator: ","))}"
            lines += "\(name)\(suffix)\(braces) \(value)\n"
        }
    }

    /// Escapes backslashes and line feeds, and in label values quotes.
    private static func escaped(_ text: String, quotes: Bool = false) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\"" where quotes: result += "\\\""
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
