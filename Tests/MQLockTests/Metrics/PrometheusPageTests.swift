import MQLock
import Testing

/// The reader that other tests rely on refuses what is wrong.
@Suite struct PrometheusPageTests {
    private static let counter = "# HELP a_total A.\n# TYPE a_total counter\n"
    private static let histogram = "# HELP h H.\n# TYPE h histogram\n"

    @Test func whatIsRightIsRead() throws {
        let page = try PrometheusPage(
            Self.counter + "a_total{x=\"1\",y=\"q\\\"b\\\\n\\n\"} 2\na_total 3\n" + Self.histogram
                + "h_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3.5\nh_count 2\n# HELP g \\\\ \\n\n# TYPE g gauge\n"
        )
        #expect(page.value("a_total", ["x": "1", "y": "q\"b\\n\n"]) == 2)
        #expect(page.value("a_total") == 3)
        #expect(page.value("h_bucket", ["le": "1"]) == 1)
        #expect(page.families.last?.help == "\\ \n")
    }

    private static let wrong = [
        "", "a_total 1\n", counter + "a_total 1", counter + "b_total 1\n", counter + "a_total -1\n",
        counter + "a_total one\n", counter + "a_total 1\na_total 1\n", counter + "a_total{x=1} 1\n",
        counter + "a_total{x=\"1} 1\n", counter + "a_total{x=\"1\" 1\n", counter + "a_total{x=\"\\q\"} 1\n",
        counter + "a_total{x=\"1\",x=\"2\"} 1\n", counter + "a_total{0x=\"1\"} 1\n", counter + counter,
        counter + "a_total{x:y=\"1\"} 1\n", counter + "\na_total 1\n", counter + "a_total{x=\"a\nb\"} 1\n",
        "# TYPE a_total counter\na_total 1\n", "# HELP a_total\n# TYPE a_total counter\n",
        "# HELP a A.\n# TYPE a counter\na 1\n", "# HELP a_total A.\n# TYPE a_total gauge\na_total 1\n",
        "# HELP a A.\n# TYPE a summary\n", "# HELP a A.\n# HELP b B.\n# TYPE b gauge\n", "# HELP a A.\n",
        histogram + "h_bucket{le=\"1\"} 1\nh_sum 1\nh_count 1\n",
        histogram + "h_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n",
        histogram + "h_bucket{le=\"2\"} 1\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 1\n",
        histogram + "h_bucket{le=\"+Inf\"} 1\nh_sum 1\nh_count 2\n", histogram + "h_bucket{le=\"+Inf\"} 1\nh_count 1\n",
        histogram + "h_bucket{le=\"+Inf\",x=\"1\"} 1\nh_sum{x=\"2\"} 1\nh_count{x=\"1\"} 1\n",
    ]

    @Test func whatIsWrongIsRefused() {
        for text in Self.wrong {
            #expect(throws: PrometheusPage.Invalid.self, "\(text)") { try PrometheusPage(text) }
        }
    }
}
